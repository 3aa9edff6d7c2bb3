"""The programs that the comparison needs: found, built, installed, or named as missing."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import venv

from .proxies import HAPROXY, KUBECTL

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
EXAMPLES = ("watch-load", "demo-cluster", "constant-rate")

# Debian's packages, each named as its command.
PACKAGES = ("nginx", "haproxy", "wrk")


@dataclasses.dataclass
class Programs:
    """Paths of programs outside of PATH, and the proxies that are missing."""

    kubegate: pathlib.Path
    layout: pathlib.Path | None
    watch_load: pathlib.Path
    demo_cluster: pathlib.Path
    constant_rate: pathlib.Path
    kubectl: pathlib.Path | None
    missing: list


def find(kubegate, with_layout, say):
    """Builds kubegate, unless a binary is given, and the load tools; installs what it can."""
    # nginx and haproxy, for users other than root.
    os.environ["PATH"] += ":/usr/sbin"
    install_packages(say)
    for command in ("nginx", "wrk"):
        if not shutil.which(command):
            raise RuntimeError(f"{command} is missing, and every row needs it: install it")
    binaries = [] if kubegate else ["--bin=kubegate"]
    examples = [f"--example={name}" for name in EXAMPLES]
    layout = build_layout(say) if with_layout else None
    build(say, *binaries, *examples)
    release = TARGET / "release"
    kubectl = find_kubectl(say)
    haproxy = shutil.which("haproxy")
    return Programs(
        kubegate=pathlib.Path(kubegate or release / "kubegate").absolute(),
        layout=layout,
        **{name.replace("-", "_"): release / "examples" / name for name in EXAMPLES},
        kubectl=kubectl,
        missing=[name for name, path in ((HAPROXY, haproxy), (KUBECTL, kubectl)) if not path],
    )


def build(say, *flags):
    """`cargo build --release`, silent if everything is built."""
    say("cargo build --release")
    cargo = shutil.which("cargo") or pathlib.Path.home() / ".cargo" / "bin" / "cargo"
    command = [cargo, "build", "--release", "--locked", "--quiet", *flags]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise RuntimeError("cargo build failed")


def build_layout(say):
    """The build whose code lies in the order of benches/layout/symbols.txt."""
    say("benches/layout/build")
    command = [ROOT / "benches" / "layout" / "build"]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        raise RuntimeError("benches/layout/build failed")
    return TARGET / "release" / "kubegate-layout"


def install_packages(say):
    """Installs Debian's packages as root or through sudo. A failure is no error here: the program
    counts as missing."""
    wanted = [name for name in PACKAGES if not shutil.which(name)]
    if not wanted or not shutil.which("apt-get"):
        return
    say(f"installing {' '.join(wanted)}")
    # RUNLEVEL=1: install servers, but start none.
    prefix = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    prefix += ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "--quiet", "--quiet"]
    install = ["install", "--yes", "--no-install-recommends", *wanted]
    for command in (["update"], install):
        if not succeeds([*prefix, *command]):
            say(f"could not: apt-get {' '.join(command)}")


def find_kubectl(say):
    """The pinned one of the tests: as tests/run installed it, or by itself."""
    for folder in ("clients", "compare"):
        kubectl = TARGET / folder / "venv" / "bin" / "kubectl"
        if kubectl.exists():
            return kubectl
    say("installing kubectl")
    pins = ROOT / "tests" / "clients" / "requirements.txt"
    pin = next(line for line in pins.read_text().splitlines() if line.startswith("kubectl"))
    folder = TARGET / "compare" / "venv"
    venv.create(folder, with_pip=True, clear=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", pin]
    if not succeeds(pip):
        shutil.rmtree(folder)
        return shutil.which("kubectl")
    return folder / "bin" / "kubectl"


def succeeds(command):
    """Whether a command succeeds; it prints the reason if not."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0
    except FileNotFoundError:
        return False
