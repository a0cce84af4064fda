"""Closes the network for a Python process, and measures its memory.

Python imports a module of this name by itself at start-up. conftest.py puts this folder on
PYTHONPATH, so notebook kernels, Jupyter servers and every other child of the tests load it too;
conftest.py itself loads it for the test process. Loopback and Unix sockets stay open: kernels talk
over them.
"""

import ipaddress
import os
import socket
import sys
from pathlib import Path

CLOSED = {
    "socket.connect",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
}
OWN_NAMES = {"", "localhost", "localhost.localdomain", "ip6-localhost", socket.gethostname()}


def stays_here(host) -> bool:
    """Whether `host` (name, address, bytes or None) is this machine."""
    if host is None:
        return True
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii", "replace")
    if not isinstance(host, str) or host in OWN_NAMES:
        return True
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def refuse_the_network(event, args):
    """An audit hook: unlike a patched function, no library can keep an older, open one."""
    if event not in CLOSED:
        return
    target = args[0] if event in ("socket.getaddrinfo", "socket.gethostbyname") else args[1]
    # An address is (host, port, ...) for IP, a str or bytes for a Unix socket; sendmsg may have
    # none.
    if event.startswith("socket.get"):
        host = target
    elif isinstance(target, tuple) and target:
        host = target[0]
    else:
        return
    if not stays_here(host):
        raise PermissionError(
            f"the network is closed while the course is tested: {event} to {host!r}"
        )


def peak_memory_mb() -> float:
    """The most memory this process has held so far, in MB (10^6 bytes)."""
    try:
        # Not getrusage: on Linux its peak includes the process that started this one.
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    try:
        import resource  # macOS: bytes

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    except ImportError:
        import psutil  # Windows

        return psutil.Process().memory_info().peak_wset / 1e6


def close_network() -> None:
    """From here on, and until the process ends, only loopback can be reached."""
    sys.addaudithook(refuse_the_network)


def prepare(environ) -> None:
    """Sets what tests and notebooks run under, for this process's children too.

    To be called before torch, transformers or matplotlib are imported.
    """
    environ["HF_HUB_OFFLINE"] = "1"
    environ["TRANSFORMERS_OFFLINE"] = "1"
    environ["PEFT_LAB_STRICT"] = "1"
    environ["PEFT_LAB_CLOSE_NETWORK"] = "1"
    environ["MPLBACKEND"] = "Agg"
    environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    for name in ("PEFT_LAB_SIZE", "PEFT_LAB_DATA"):
        environ.pop(name, None)
    here = Path(__file__).resolve().parent
    folders = [str(here), str(here.parent.parent), *environ.get("PYTHONPATH", "").split(os.pathsep)]
    environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folder for folder in folders if folder))


if os.environ.get("PEFT_LAB_CLOSE_NETWORK") == "1":
    close_network()

# The tests draw with Agg; a kernel that inherits that name would show no figures.
if "ipykernel_launcher" in getattr(sys, "orig_argv", ()):
    os.environ.pop("MPLBACKEND", None)
