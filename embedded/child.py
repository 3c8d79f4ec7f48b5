"""Becomes a server: takes its identity, ties its life to its parent's, executes.

A program of its own (`python -I -S child.py …`), so that the application's threads and
locks cannot disturb what happens between fork and exec.

Arguments: way uid gid parent signal folder program… (`probe` as program only checks
that the folder and the paths after it can be entered and read).
"""

import ctypes
import os
import sys

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP = 28, 4
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
REFUSED = 97
UNREACHABLE = 98


def enter_namespace(uid: int) -> None:
    """Become another user in name only: to the file system we stay who we are.

    Source: user_namespaces(7), "Defining user and group ID mappings".
    """
    outside = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER):
        raise PermissionError("user namespaces are not permitted")
    maps = {
        "setgroups": "deny",
        "uid_map": f"{uid} {outside[0]} 1",
        "gid_map": f"{uid} {outside[1]} 1",
    }
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def become(uid: int, gid: int) -> None:
    """Stop being root for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def become_searcher(uid: int, gid: int) -> None:
    """Stop being root, but keep passing through closed folders, across exec as well.

    Of root's capabilities one stays: to search and read. Containers take that one away
    and leave a wider one, which then stays. It is no more than in a user namespace,
    where root's files are the server's own.

    Source: capabilities(7), "Ambient" and "The securebits flags"; without the flag
    access(2), by which PostgreSQL looks for its programs, would ignore the capability.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0):
        raise PermissionError("capabilities cannot be kept")
    become(uid, gid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; low, then high
    libc.capget(header, sets)
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        mask = 1 << capability
        if sets[1] & mask:
            one = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
            raised = libc.capset(header, one) or libc.prctl(
                PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0
            )
            if not raised:
                return
    raise PermissionError("no capability to search folders is left")


def take_identity(way: str, uid: int, gid: int) -> None:
    """Stop being root, in one of three ways; an ordinary user stays who it is."""
    if way == "namespace":
        enter_namespace(uid)
    elif way == "user":
        become(uid, gid)
    elif way == "search":
        become_searcher(uid, gid)


def end_with(parent: int, signal: int) -> None:
    """Have the kernel send a signal when the thread that started us ends.

    Set last, because a change of credentials clears it. Source: prctl(2).
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:
        os._exit(0)


def main(way: str, uid: str, gid: str, parent: str, signal: str, *rest: str) -> None:
    """Do all of it; does not return."""
    folder, program = rest[0], rest[1:]
    try:
        take_identity(way, int(uid), int(gid))
    except OSError as error:
        sys.stderr.write(f"{way}: {error}\n")
        os._exit(REFUSED)
    try:
        os.chdir(folder)
        for path in program[1:] if program[0] == "probe" else program[:1]:
            os.stat(path)
            if not os.access(path, os.R_OK | os.X_OK, effective_ids=True):
                raise PermissionError(f"{path} may not be used")
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        os._exit(UNREACHABLE)
    if program[0] == "probe":
        os._exit(0)
    end_with(int(parent), int(signal))
    os.execv(program[0], program)


if __name__ == "__main__":
    main(*sys.argv[1:])
