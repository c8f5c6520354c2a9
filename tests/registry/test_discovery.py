"""Plugins: a broken one bricks nothing, two claims never silently win, and names are suggested."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from dlmone.core.errors import InputError, PluginError
from dlmone.registry import Registry
from dlmone.registry.catalogue import KINDS

Install = Callable[..., None]

HEADER = "from dlmone.registry import hookimpl\n"
OFFERS_MINE = """
    @hookimpl
    def register_objectives(register):
        register("mine", f"{__name__}:Mine", help="an objective of mine")

    from dlmone.core import Objective

    class Mine(Objective):
        def __init__(self, options):
            self.options = options

        def requests(self, role):
            return None
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with one module, its entry point of the same name, by writing its files."""

    def install(distribution: str, module: str, code: str, version: str = "1.0") -> None:
        (tmp_path / f"{module}.py").write_text(HEADER + dedent(code))
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[dlmone]\n{module} = {module}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def test_kinds_are_those_of_the_hooks() -> None:
    assert KINDS == (
        "teachers",
        "objectives",
        "evaluators",
        "data",
        "tokenizers",
        "samplers",
        "generators",
        "augmenters",
        "selectors",
        "converters",
        "sample_readers",
        "row_readers",
        "models",
        "exporters",
        "trackers",
    )


def test_built_ins_are_found_and_whole() -> None:
    registry = Registry.discover()
    assert registry.broken == ()
    assert registry.names("objectives") == [
        "consistency",
        "diff_instruct",
        "diffusion_gan",
        "dmd2",
        "elf_decoder",
        "elf_progressive",
        "flow_map",
        "moment_matching",
        "progressive",
        "regression",
        "sds",
        "sequence_level",
        "sid",
    ]
    entry = registry.entry("objectives", "sid")
    assert (entry.plugin, entry.distribution) == ("sid", "dlmone")
    assert {"name": "sid", "distribution": "dlmone", "version": entry.version} in registry.describe()


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in KINDS for name in Registry.discover().names(kind)]
)
def test_every_built_in_name_has_its_code_and_options(kind: str, name: str) -> None:
    registry = Registry.discover()
    assert callable(registry.load(kind, name))
    registry.options_model(kind, name)


def test_an_installed_plugin_is_built_with_its_options(install: Install) -> None:
    install(
        "dlm-mine",
        "mine_good",
        OFFERS_MINE.replace("help=", 'options=f"{__name__}:Options", help=')
        + """
    import pydantic
    class Options(pydantic.BaseModel, extra="forbid"):
        strength: float = 0.5
        limit: int | None = 3
    """,
    )
    registry = Registry.discover()
    options = registry.options("objectives", "mine", {"strength": 2, "limit": False}, "here")
    assert options.model_dump() == {"strength": 2.0, "limit": None}
    assert registry.load("objectives", "mine")(options).options is options
    with pytest.raises(InputError, match=r"^here\.strenght: unknown key; did you mean 'strength'\?$"):
        registry.options("objectives", "mine", {"strenght": 2}, "here")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import there_is_no_such_module", "ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("def f(:\n", "SyntaxError: invalid syntax"),
        ("def register_teachers(register): ...", "has no function marked @hookimpl"),
        (
            "@hookimpl\ndef register_teacher(register): ...",
            "there is no hook 'register_teacher'; did you mean 'register_teachers'?",
        ),
        (
            "@hookimpl\ndef register_metrics(register): ...",
            "there is no hook 'register_metrics'; did you mean 'register_evaluators'?",
        ),
        (
            "@hookimpl\ndef register_data(register): register('mine', 'a:B', 'a:Options')",
            "TypeError: register() takes 2 positional arguments but 3 were given",
        ),
        ("@hookimpl\ndef run_started(run_directory): ...", "PluginValidationError"),
        ("@hookimpl\ndef register_data(register): 1 / 0", "ZeroDivisionError: division by zero"),
        (
            "@hookimpl\ndef register_data(register): register('mine', 'module.Class')",
            "the data source 'mine' points to 'module.Class', not to 'package.module:Name'",
        ),
        (
            "@hookimpl\ndef register_objectives(register): register('other', 'a:B')\n"
            "@hookimpl\ndef register_data(register): 1 / 0",
            "ZeroDivisionError",
        ),
    ],
    ids=[
        *("import", "exit", "syntax", "unmarked", "unknown hook", "another word for it"),
        *("options by place", "arguments", "hook", "target", "half"),
    ],
)
def test_a_broken_plugin_is_set_aside_whole(install: Install, code: str, reason: str) -> None:
    install("dlm-broken", "mine_broken", code, version="0.3")
    install("dlm-mine", "mine_good", OFFERS_MINE)
    registry = Registry.discover()
    (plugin,) = registry.broken
    assert (plugin.name, plugin.distribution, plugin.version) == ("mine_broken", "dlm-broken", "0.3")
    assert reason in plugin.reason
    assert "\n" not in plugin.reason
    assert plugin.traceback.startswith("Traceback")
    assert {"mine", "sid"} <= {*registry.names("objectives")}
    registry.notify("run_finished", run_dir=Path())

    with pytest.raises(PluginError) as failure:
        registry.entry("data", "mien")
    assert "there is no data source 'mien'" in str(failure.value)
    assert "the plugin mine_broken (dlm-broken 0.3) is broken and may be the one" in str(failure.value)
    assert reason in str(failure.value)


def test_two_claims_never_silently_win(install: Install) -> None:
    install("dlm-a", "mine_a", OFFERS_MINE + "\n    @hookimpl\n    def run_finished(): ...\n", version="1.0")
    install("dlm-b", "mine_b", OFFERS_MINE, version="2.0")
    registry = Registry.discover()
    assert registry.broken == ()
    assert "mine" in registry.names("objectives")
    assert [claim.distribution for claim in registry.claims("objectives", "mine")] == ["dlm-a", "dlm-b"]
    assert registry.entry("objectives", "sid").name == "sid"
    sentence = (
        r"^here: the objective 'mine' is claimed by mine_a \(dlm-a 1\.0\) and by mine_b \(dlm-b 2\.0\);"
        r" uninstall all but one$"
    )
    for use in (registry.entry, registry.load, registry.options_model):
        with pytest.raises(PluginError, match=sentence):
            use("objectives", "mine", "here")


def test_of_two_plugin_files_with_one_name_one_is_to_be_left_out(tmp_path: Path) -> None:
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    for file in files:
        file.write_text(
            "from dlmone.registry import hookimpl\n\n@hookimpl\ndef register_objectives(register):\n"
            "    register('mine', f'{__name__}:Mine')\n"
        )
    with pytest.raises(
        PluginError, match=r"the objective 'mine' is claimed by .*a\.py.* and by .*b\.py"
    ) as caught:
        Registry.discover(files).entry("objectives", "mine")
    assert str(caught.value).endswith(f"; leave out --plugin {files[1]}")


def test_one_module_of_two_distributions_is_not_taken_twice(install: Install, tmp_path: Path) -> None:
    install("dlm-a", "mine_a", OFFERS_MINE)
    install("dlm-b", "mine_b", "")
    (tmp_path / "dlm_b-1.0.dist-info" / "entry_points.txt").write_text("[dlmone]\nmine_b = mine_a\n")
    registry = Registry.discover()
    assert [plugin.distribution for plugin in registry.broken] == ["dlm-b"]
    assert "registered already, as mine_a (dlm-a 1.0)" in registry.broken[0].reason
    assert registry.entry("objectives", "mine").distribution == "dlm-a"


def test_an_unknown_name_suggests_the_nearest_or_tells_all() -> None:
    registry = Registry.discover()
    with pytest.raises(PluginError, match=r"^there is no objective 'sidd'; did you mean 'sid'\?$"):
        registry.load("objectives", "sidd")
    with pytest.raises(PluginError, match=r"known here: consistency, diff_instruct, .*, sid$"):
        registry.load("objectives", "zebra")


def test_code_that_cannot_be_loaded_is_one_sentence(install: Install) -> None:
    install(
        "dlm-mine",
        "mine_late",
        """
        @hookimpl
        def register_objectives(register):
            register("absent", "there_is_no_such_module:Mine")
            register("nameless", "mine_late:Mine")
            register("function", "mine_late:Mine", options="mine_late:register_objectives")
            register("careless", "mine_late:Mine", options="mine_late:Careless")

        import pydantic
        class Careless(pydantic.BaseModel):
            strength: float = 1.0
        """,
    )
    registry = Registry.discover()
    with pytest.raises(
        PluginError, match=r"^the objective 'absent' of mine_late .* cannot be loaded .*No module"
    ):
        registry.load("objectives", "absent")
    with pytest.raises(PluginError, match="AttributeError"):
        registry.load("objectives", "nameless")
    with pytest.raises(PluginError, match="mine_late:register_objectives is not a pydantic model"):
        registry.options("objectives", "function", {})
    with pytest.raises(PluginError, match='needs extra="forbid"'):
        registry.options("objectives", "careless", {})


def test_a_plugin_without_options_takes_none(install: Install) -> None:
    install("dlm-mine", "mine_good", OFFERS_MINE)
    registry = Registry.discover()
    assert registry.options("objectives", "mine", {}).model_dump() == {}
    with pytest.raises(InputError, match=r"^here\.x: unknown key$"):
        registry.options("objectives", "mine", {"x": 1}, "here")


def test_a_file_is_a_plugin_whose_targets_name_itself(tmp_path: Path) -> None:
    file = tmp_path / "my plugin.py"
    file.write_text(HEADER + dedent(OFFERS_MINE))
    registry = Registry.discover([file, file])
    entry = registry.entry("objectives", "mine")
    assert (entry.plugin, entry.distribution) == ("my plugin", str(file))
    assert entry.version.startswith("sha256:")
    mine = registry.load("objectives", "mine")
    assert sys.modules[mine.__module__].__file__ == str(file)
    registry.require_files()


def test_a_broken_file_is_listed_but_refused_for_a_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("1 / 0")
    registry = Registry.discover([file])
    assert [plugin.target for plugin in registry.broken] == [str(file)]
    with pytest.raises(PluginError, match=r"mine\.py is broken: ZeroDivisionError: division by zero"):
        registry.require_files()
    with pytest.raises(InputError, match="there is no such plugin file"):
        Registry.discover([tmp_path / "none.py"])


def test_a_lifecycle_hook_that_fails_is_warned_about_once_and_harms_nobody(
    install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install("dlm-bad", "mine_bad", "@hookimpl\ndef step_finished(step): raise OSError('disk full')\n")
    install("dlm-good", "mine_good", "told = []\n@hookimpl\ndef step_finished(step): told.append(step)\n")
    registry = Registry.discover()
    for step in (1, 2):
        registry.notify("step_finished", stage="stage-1", step=step, metrics={})
    assert sys.modules["mine_good"].told == [1, 2]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["the plugin mine_bad (dlm-bad 1.0) failed in step_finished: OSError: disk full"]


def test_listing_and_validating_import_no_torch() -> None:
    code = """
        import sys
        from dlmone.registry import Registry, load_recipe, shipped_recipes
        from dlmone.registry.catalogue import KINDS
        registry = Registry.discover()
        for kind in KINDS:
            for name in registry.names(kind):
                registry.options_model(kind, name)
        for name in shipped_recipes():
            load_recipe(name, registry=registry).dump()
        print(sorted({"torch", "transformers", "numpy", "nltk"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
