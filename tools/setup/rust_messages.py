#!/usr/bin/env python3
"""Write Rust message sources where the crate `ros-env` looks for them: STAGE/share/<package>/rust.

    rust_messages.py STAGE PACKAGE...

Packages that bring Rust sources of their own (ROS installations with rosidl_generator_rs) are left alone. The types of
the others come from the bindgen of colcon-cargo-ros2 (PyPI); it writes one crate per package, `ros-env` wants one file
per interface kind with rosidl_generator_rs's names, so this script lays the code out anew. Files that would not change
are not touched: Cargo rebuilds `ros-env` only for new interfaces.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS = ("msg", "srv", "action")
# Parts of an interface which rosidl_generator_rs joins to its name by an underscore and bindgen does not.
PARTS = {"msg": "", "srv": "Request|Response", "action": "Goal|Result|FeedbackMessage|Feedback"}
MANIFEST = """[package]
name = "{package}"
version = "0.0.0"
edition = "2021"
[package.metadata.ros-env]
include = true
[dependencies]
rosidl_runtime_rs = "0.7"
"""


def find_prefix(package: str, prefixes: list[Path]) -> Path:
    """The first prefix that holds the package."""
    for prefix in prefixes:
        if (prefix / "share" / package / "package.xml").exists():
            return prefix
    sys.exit(f"ROS package {package} is in no folder of AMENT_PREFIX_PATH ({':'.join(map(str, prefixes))}); install it")


def bindgen(package: str, share: Path, out: Path) -> Path:
    """Runs the bindgen and returns the crate it wrote."""
    command = os.environ.get("THINKVLA_BINDGEN", "colcon-cargo-ros2").split()
    # Its Python must not pick up the ROS prefix, whose modules may be built for another version.
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    arguments = ["bindgen", "--package", package, "--package-path", share, "--output", out]
    try:
        done = subprocess.run([*command, *arguments, "--rosidl-runtime-rs-version", "0.7"], env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except FileNotFoundError:
        sys.exit(f"the Rust message generator {command[0]} is missing; run tools/setup.sh")
    if done.returncode:
        sys.exit(f"bindgen of {package} failed:\n{done.stdout}")
    return out / package


def constants(text: str) -> str:
    return "\n".join(re.findall(r"^pub const .*;$", text, re.M))


def constants_of(rmw: str, kind: str, name: str) -> str:
    """Associated constants: bindgen leaves those of the C-layout types at module level."""
    blocks = {name: rmw}
    if kind == "srv":
        request, response = rmw.split("// Response constants", 1)
        blocks = {f"{name}_Request": request, f"{name}_Response": response}
    elif kind == "action":
        blocks = {}
    return "".join(f"\nimpl {owner} {{\n{body}\n}}\n" for owner, text in blocks.items() if (body := constants(text)))


def convert(code: str, kind: str, name: str, package: str, deps: list[str]) -> str:
    """Names and paths as inside `ros_env::<package>`."""
    if PARTS[kind]:
        code = re.sub(rf"\b{name}({PARTS[kind]})\b", rf"{name}_\1", code)
    code = re.sub(r'^ *#\[cfg\(feature = "serde"\)\]\n *use [^;]*;\n', "", code, flags=re.M)
    code = re.sub(r'^ *#\[cfg_attr\(feature = "serde", [^\n]*\n', "", code, flags=re.M)
    code = code.replace("derive(Debug, Clone, PartialEq)", "derive(Debug, Clone, PartialEq, PartialOrd)")
    code = code.replace("crate::rosidl_runtime_rs", "rosidl_runtime_rs").replace("crate::", f"crate::{package}::")
    for dep in deps:
        code = re.sub(rf'(?<![:\w"]){dep}::({"|".join(KINDS)})::', rf"crate::{dep}::\1::", code)
    return code


def module(stem: str, name: str, code: str) -> str:
    """Each interface in a module of its own, since their extern blocks and imports repeat; its types re-exported."""
    declared = set(re.findall(r"^pub (?:struct|use .*::)\s*(\w+)", code, re.M))
    types = sorted(t for t in declared if t.split("_")[0] == name)
    return f"mod {stem}__ {{\n{code}\n}}\npub use {stem}__::{{{', '.join(types)}}};\n"


def write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def lay_out(package: str, crate: Path, out: Path) -> None:
    deps = sorted(set(re.findall(r'^(\w+) = \{ path = "\.\./', (crate / "Cargo.toml").read_text(), re.M)))
    kinds = [kind for kind in KINDS if (crate / "src" / kind).is_dir()]
    if not kinds:
        sys.exit(f"{package}: bindgen found no .msg, .srv or .action file; the package must install them beside its .idl")
    for kind in kinds:
        idiomatic = rmw = ""
        for path in sorted((crate / "src" / kind).glob("*_rmw.rs")):
            stem = path.name.removesuffix("_rmw.rs")
            c_layout = path.read_text()
            name = re.search(r"^// (?:Message|Service|Action): (\w+)", c_layout, re.M).group(1)
            friendly = path.with_name(f"{stem}_idiomatic.rs").read_text()
            converted = convert(c_layout, kind, name, package, deps) + constants_of(c_layout, kind, name)
            rmw += module(stem, name, converted)
            idiomatic += module(stem, name, convert(friendly, kind, name, package, deps))
        write(out / "src" / f"{kind}.rs", idiomatic)
        write(out / "src" / kind / "rmw.rs", rmw)
    write(out / "src" / "lib.rs", "".join(f"pub mod {kind};\n" for kind in kinds))
    write(out / "Cargo.toml", MANIFEST.format(package=package) + "".join(f'{d} = "*"\n' for d in deps))


def main() -> None:
    stage, packages = Path(sys.argv[1]), sys.argv[2:]
    prefixes = [stage] + [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if p and Path(p) != stage]
    with tempfile.TemporaryDirectory() as scratch:
        for package in packages:
            prefix = find_prefix(package, prefixes)
            if prefix != stage and (prefix / "share" / package / "rust" / "Cargo.toml").exists():
                continue
            crate = bindgen(package, prefix / "share" / package, Path(scratch))
            lay_out(package, crate, stage / "share" / package / "rust")


if __name__ == "__main__":
    main()
