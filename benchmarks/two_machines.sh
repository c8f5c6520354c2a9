#!/usr/bin/env bash
# Two machines as two network namespaces, joined by a virtual cable: `torchrun --nnodes 2` pretrains and distils a tiny
# recipe on one process each, and must log and save, bit by bit, what one process does with two microbatches.
#
#   sudo benchmarks/two_machines.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python}
first=dlmone-$$-1 second=dlmone-$$-2
work=$(mktemp -d)
clean() {
  kill $(jobs -p) 2>/dev/null || true
  for machine in $first $second; do ip netns del $machine 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean EXIT

if ! { ip netns add $first && ip netns add $second; } 2>"$work/why"; then
  echo "skipped: no network namespace can be made here ($(head -n 1 "$work/why"))"
  exit 0
fi
ip link add cable netns $first type veth peer name cable netns $second
for machine in 1 2; do
  ip -n dlmone-$$-$machine addr add 10.77.0.$machine/24 dev cable
  ip -n dlmone-$$-$machine link set cable up
  ip -n dlmone-$$-$machine link set lo up
done

export OMP_NUM_THREADS=1
run=(-m dlmone -q run tests/tiny.toml --set teacher.dropout=0.0 --set teacher.attention_dropout=0.0)
run+=(--set compute.precision=float32 --set stages.stage-2=false --set evaluation.candidates=1 --set "evaluation.teacher_steps=[1]")
on() { # MACHINE: its process, as torchrun starts it there
  ip netns exec dlmone-$$-$1 env GLOO_SOCKET_IFNAME=cable DLMONE_CACHE="$work/cache-two" \
    "$python" -m torch.distributed.run --nnodes 2 --node-rank $(($1 - 1)) --nproc-per-node 1 \
    --master-addr 10.77.0.1 --master-port 29577 "${run[@]}" --run-dir "$work/two"
}
on 2 >"$work/second" 2>&1 &
on 1 >"$work/first" 2>&1 || { cat "$work/first" "$work/second"; exit 1; }
wait $! || { cat "$work/second"; exit 1; }
DLMONE_CACHE="$work/cache-one" "$python" "${run[@]}" --set compute.microbatch=4 --run-dir "$work/one" >/dev/null

"$python" - "$work" <<'END'
import json, sys
from pathlib import Path

def log(run):
    lines = (json.loads(line) for line in (Path(sys.argv[1]) / run / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key != "seconds_per_step"} for line in lines]

def hashes(run):
    manifests = sorted((Path(sys.argv[1]) / run).glob("*/checkpoints/*/manifest.json"))
    return {manifest.parts[-4:-1]: json.loads(manifest.read_text())["blake2b"] for manifest in manifests}

assert json.loads((Path(sys.argv[1]) / "two/manifest.json").read_text())["compute"].count("2 processes")
assert log("one") == log("two"), "the logs differ"
assert hashes("one") == hashes("two"), "the checkpoints differ"
print(f"two machines: {len(log('two'))} log entries and {len(hashes('two'))} checkpoints, equal bit by bit")
END
