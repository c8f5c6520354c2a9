"""What is installed from a wheel is what the checkout has: every package, and every file that code reads."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
#: The folders at the root that are installed, and the package that each is.
FOLDERS = {folder: package for package, folder in SETUPTOOLS["package-dir"].items()}


def package_of(folder: Path) -> str:
    first, *rest = folder.relative_to(ROOT).parts
    return ".".join([FOLDERS[first], *rest])


def test_every_package_is_listed() -> None:
    folders = {init.parent for name in FOLDERS for init in (ROOT / name).rglob("__init__.py")}
    assert {package_of(folder) for folder in folders} == set(SETUPTOOLS["packages"])


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_besides_code_is_listed(folder: str) -> None:
    listed = SETUPTOOLS["package-data"]
    for path in (ROOT / folder).rglob("*"):
        if path.suffix in (".py", ".pyc") or not path.is_file():
            continue
        patterns = {
            f"{package_of(above)}:{path.relative_to(above)}"
            for above in path.parents
            if above.is_relative_to(ROOT / folder)
        }
        wanted = [f"{package}:{pattern}" for package, files in listed.items() for pattern in files]
        assert any(fnmatch(name, pattern) for name in patterns for pattern in wanted), path


def test_every_version_that_is_promised_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    promised = re.findall(r"Python :: (3\.\d+)$", "\n".join(project["classifiers"]), re.MULTILINE)
    [tested] = re.findall(r"^ +python: \[(.+)\]$", workflow, re.MULTILINE)
    assert re.findall(r"3\.\d+", tested) == promised
    [oldest] = [re.search(r">=([\d.]+)", one) for one in project["dependencies"] if one.startswith("torch>")]
    assert oldest is not None
    assert f'"torch=={oldest[1]}.*"' in workflow
