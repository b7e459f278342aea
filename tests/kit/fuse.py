"""A FUSE server of a file system in memory; a test chooses its faults.

Run as `python fuse.py FD FAULTS`: FD is an open, mounted /dev/fuse, FAULTS a file with one word per
line, which is read before each request:

    write-0       a write returns 0 bytes and no error
    flush-EIO     a close reports a failed write-back
    getattr-EIO   the status of a file cannot be read; ESTALE and others work likewise
    flock-ENOLCK  there are no file locks; EOPNOTSUPP works likewise

To hang every call, stop the process with SIGSTOP.
"""

import ctypes
import errno
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from struct import Struct, unpack_from

IN = Struct("<IIQQIIII")
OUT = Struct("<IiQ")
ATTR = Struct("<QQQQQQIIIIIIIIII")
ENTRY = Struct("<QQQQII")
DIRECT_IO = 1
FLOCK_LOCKS = 1 << 10
NAMES = {
    1: "lookup", 2: "forget", 3: "getattr", 4: "setattr", 9: "mkdir", 10: "unlink", 11: "rmdir",
    12: "rename", 14: "open", 15: "read", 16: "write", 17: "statfs", 18: "release", 20: "fsync",
    25: "flush", 26: "init", 27: "opendir", 28: "readdir", 29: "releasedir", 32: "flock",
    34: "access", 35: "create", 36: "interrupt", 42: "forget", 45: "rename2",
}  # fmt: skip


class Node:
    def __init__(self, number, mode, uid, gid):
        self.number, self.mode, self.uid, self.gid = number, mode, uid, gid
        self.data = bytearray()
        self.names = {}
        self.links = 1
        self.mtime_ns = time.time_ns()


class RefusalError(Exception):
    """The request is answered with this errno."""


class Server:
    def __init__(self, device, faults):
        self.device, self.faults_path = device, faults
        self.nodes = {1: Node(1, stat.S_IFDIR | 0o755, 0, 0)}
        self.locks = {}

    def run(self):
        while True:
            try:
                raw = os.read(self.device, 1 << 20)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return  # unmounted
                continue
            _, opcode, unique, node, uid, gid, _, _ = IN.unpack_from(raw)
            name = NAMES.get(opcode)
            if name in {"forget", "interrupt"}:
                continue
            try:
                self.raise_fault(name)
                answer, code = (
                    getattr(self, name)(self.nodes.get(node), raw[IN.size :], (uid, gid)),
                    0,
                )
            except RefusalError as refusal:
                answer, code = b"", -refusal.args[0]
            try:
                os.write(self.device, OUT.pack(OUT.size + len(answer), code, unique) + answer)
            except OSError:  # the request was interrupted
                continue

    def faults(self):
        return Path(self.faults_path).read_text().split()

    def raise_fault(self, name):
        if name is None:
            raise RefusalError(errno.ENOSYS)
        for fault in self.faults():
            what, _, how = fault.partition("-")
            if what == name and how.isalpha():
                raise RefusalError(getattr(errno, how))

    def attributes(self, node):
        size, (s, ns) = len(node.data), divmod(node.mtime_ns, 10**9)
        return ATTR.pack(node.number, size, -(-size // 512), s, s, s, ns, ns, ns, node.mode,
                         node.links, node.uid, node.gid, 0, 4096, 0)  # fmt: skip

    def entry(self, node):
        return ENTRY.pack(node.number, 0, 0, 0, 0, 0) + self.attributes(node)

    def child(self, node, name):
        if name not in node.names:
            raise RefusalError(errno.ENOENT)
        return node.names[name]

    def make(self, node, name, mode, user):
        if name in node.names:
            raise RefusalError(errno.EEXIST)
        new = Node(len(self.nodes) + 1, mode, *user)
        self.nodes[new.number] = node.names[name] = new
        node.mtime_ns = time.time_ns()
        return new

    def init(self, *_):
        flags = FLOCK_LOCKS if any(fault.startswith("flock") for fault in self.faults()) else 0
        return Struct("<IIIIHHIIHHIIIIIIII").pack(
            7, 31, 1 << 17, flags, 16, 12, 1 << 17, 1, 32, 0, *[0] * 8)[:64]  # fmt: skip

    def lookup(self, node, raw, _):
        return self.entry(self.child(node, raw[:-1]))

    def getattr(self, node, *_):
        return Struct("<QII").pack(0, 0, 0) + self.attributes(node)

    def setattr(self, node, raw, _):
        valid, _, _, size = unpack_from("<IIQQ", raw)
        mode, _, uid, gid = unpack_from("<IIII", raw, 68)
        if valid & 1:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        if valid & 2:
            node.uid = uid
        if valid & 4:
            node.gid = gid
        if valid & 8:
            del node.data[size:]
            node.data += bytes(size - len(node.data))
        return self.getattr(node)

    def mkdir(self, node, raw, user):
        (mode,) = unpack_from("<I", raw)
        return self.entry(self.make(node, raw[8:-1], stat.S_IFDIR | mode, user))

    def create(self, node, raw, user):
        _, mode = unpack_from("<II", raw)
        new = self.make(node, raw[16:-1], stat.S_IFREG | stat.S_IMODE(mode), user)
        return self.entry(new) + self.open(new)

    def open(self, node, *_):
        return Struct("<QII").pack(node.number, DIRECT_IO, 0)

    def opendir(self, node, *_):
        return Struct("<QII").pack(node.number, 0, 0)

    def unlink(self, node, raw, _):
        self.child(node, raw[:-1]).links = 0
        del node.names[raw[:-1]]
        node.mtime_ns = time.time_ns()
        return b""

    def rmdir(self, node, raw, user):
        if self.child(node, raw[:-1]).names:
            raise RefusalError(errno.ENOTEMPTY)
        return self.unlink(node, raw, user)

    def rename(self, node, raw, _, skip=8):
        (place,) = unpack_from("<Q", raw)
        old, new = raw[skip:-1].split(b"\0")
        found = self.child(node, old)
        del node.names[old]
        self.nodes[place].names[new] = found
        self.nodes[place].mtime_ns = node.mtime_ns = time.time_ns()
        return b""

    def rename2(self, node, raw, user):
        return self.rename(node, raw, user, 16)

    def read(self, node, raw, _):
        _, at, size = unpack_from("<QQI", raw)
        return bytes(node.data[at : at + size])

    def write(self, node, raw, _):
        _, at, size = unpack_from("<QQI", raw)
        if "write-0" in self.faults():
            return bytes(8)
        node.data += bytes(max(0, at - len(node.data)))
        node.data[at : at + size] = raw[40 : 40 + size]
        node.mtime_ns = time.time_ns()
        return Struct("<II").pack(size, 0)

    def readdir(self, node, raw, _):
        _, at, size = unpack_from("<QQI", raw)
        found = b""
        for i, (name, child) in enumerate(list(node.names.items())[at:], at + 1):
            kind = stat.S_IFMT(child.mode) >> 12
            row = Struct("<QQII").pack(child.number, i, len(name), kind) + name
            row += bytes(-len(row) % 8)
            if len(found) + len(row) > size:
                break
            found += row
        return found

    def statfs(self, *_):
        return Struct("<QQQQQIIII24x").pack(
            1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096, 0
        )

    def nothing(self, *_):
        return b""

    release = releasedir = fsync = flush = access = nothing

    def flock(self, *_):
        raise RefusalError(errno.ENOSYS)


@contextmanager
def mounted(where, faults=""):
    """Mount such a file system at `where`; yield the server process and the path of FAULTS.

    Raises OSError if mounting is not allowed.
    """
    where = Path(where)
    where.mkdir(parents=True)
    faults_path = where.with_name(f"{where.name}.faults")
    faults_path.write_text(faults)
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    if libc.mount(b"fuse", os.fsencode(where), b"fuse", 0, options.encode()):
        os.close(device)
        raise OSError(ctypes.get_errno(), "mount")
    command = [sys.executable, __file__, str(device), str(faults_path)]
    server = subprocess.Popen(command, pass_fds=[device])
    os.close(device)
    try:
        yield server, faults_path
    finally:
        server.send_signal(signal.SIGCONT)
        libc.umount2(os.fsencode(where), 2)  # MNT_DETACH
        server.kill()
        server.wait()


if __name__ == "__main__":
    Server(int(sys.argv[1]), sys.argv[2]).run()
