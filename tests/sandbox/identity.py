"""What a program sees of owners and identities: one line a row, the same with one mapped id as with all of them."""

import array, ctypes, errno, mmap, os, platform, signal, socket, stat, struct, subprocess, sys, threading

libc = ctypes.CDLL(None, use_errno=True)
W = "/tmp/w"
AT_FDCWD, NOFOLLOW, EMPTY = -100, 0x100, 0x1000
STATX, CAPGET, CAPSET, NEWFSTATAT, SETUID = 332, 125, 126, 262, 105
OPEN, CREAT, MKDIR, SYMLINK, LINKAT, OPENAT2 = 2, 85, 83, 88, 265, 437


def tried(call, *args, **named):
    try:
        said = call(*args, **named)
        return "ok" if said is None else said
    except OSError as error:
        return errno.errorcode[error.errno]


def raw(number, *args):
    done = libc.syscall(number, *args)
    return errno.errorcode[ctypes.get_errno()] if done == -1 else done


def own(path, **named):
    found = os.stat(path, **named)
    return f"{found.st_uid}:{found.st_gid}"


def mode(path):
    return oct(os.stat(path).st_mode & 0o7777)


def statx(path, fd=AT_FDCWD, flags=0):
    buffer = ctypes.create_string_buffer(256)
    if raw(STATX, fd, path.encode(), flags, 0x7FF, buffer) != 0:
        return errno.errorcode[ctypes.get_errno()]
    return "%d:%d" % struct.unpack_from("II", buffer.raw, 20)


def make(name, uid=0, gid=0, bits=0o644, content=b"x"):
    path = f"{W}/{name}"
    with open(path, "wb") as file:
        file.write(content)
    os.chown(path, uid, gid)
    os.chmod(path, bits)
    return path


def child(work):
    """What `work` returns in a child process."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = str(work())
        except BaseException as error:
            said = repr(error)
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def become(uid, gid, groups=()):
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def as_user(work, uid=1000, gid=1001, groups=(1002,)):
    def changed():
        become(uid, gid, groups)
        return work()

    return child(changed)


def ids():
    return os.getresuid(), os.getresgid(), os.getgroups()


def capabilities():
    header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    raw(CAPGET, header, data)
    low = struct.unpack("6I", data.raw)
    return [hex(bits & 0xFB) for bits in low[:3]]


def limit_capabilities(effective, permitted, inheritable=0):
    data = struct.pack("6I", effective, permitted, inheritable, 0, 0, 0)
    return raw(CAPSET, struct.pack("Ii", 0x20080522, 0), data)


ROWS = []


def row(test):
    ROWS.append(test)


@row
def every_way_to_ask():
    path = make("ask", 33, 44)
    os.symlink("ask", f"{W}/link")
    os.lchown(f"{W}/link", 55, 66)
    fd, opath = os.open(path, os.O_RDONLY), os.open(f"{W}/link", os.O_PATH | os.O_NOFOLLOW)
    here = os.open(W, os.O_RDONLY)
    os.chdir(W)
    return [
        own(path), os.lstat(f"{W}/link").st_uid, own(f"{W}/link"), own(fd), own(opath),
        own("ask"), own("../w/./ask"), own("ask", dir_fd=here), own("link", dir_fd=here, follow_symlinks=False),
        own(f"/proc/self/fd/{fd}"), own(f"/proc/self/cwd/ask"), own(f"/dev/fd/{fd}"),
        statx(path), statx(f"{W}/link", flags=NOFOLLOW), statx("", fd, EMPTY), statx("", opath, EMPTY), statx("ask", here),
        tried(os.stat, f"{W}/none"), tried(os.stat, f"{path}/x"), statx(""), raw(NEWFSTATAT, AT_FDCWD, path.encode(), 8, 0),
        raw(NEWFSTATAT, AT_FDCWD, 8, ctypes.create_string_buffer(200), 0), raw(NEWFSTATAT, AT_FDCWD, path.encode(), 8, 0x80000),
        tried(os.stat, "/" + "n" * 300), tried(os.stat, "/" + "n/" * 2100),
    ]


@row
def every_way_to_give():
    path = make("give")
    os.symlink("give", f"{W}/given")
    fd, here, seen = os.open(path, os.O_RDONLY), os.open(W, os.O_RDONLY), []
    for give in [
        lambda: os.chown(path, 1, 2), lambda: os.chown(path, -1, 3), lambda: os.chown(path, 4, -1),
        lambda: os.fchown(fd, 5, 6), lambda: os.chown(f"{W}/given", 7, 8), lambda: os.lchown(f"{W}/given", 9, 10),
        lambda: os.chown("give", 11, 12, dir_fd=here), lambda: os.chown("given", 13, 14, dir_fd=here, follow_symlinks=False),
        lambda: os.chown(fd, 15, 16), lambda: os.chown(path, 4294967294, 4294967293),
    ]:
        seen.append((tried(give), own(path), own(f"{W}/given", follow_symlinks=False)))
    # ids beyond a range of 65536 are another's matter
    seen.pop()
    return seen, tried(os.chown, f"{W}/none", 1, 1), raw(92, 8, 1, 1), raw(260, here, b"", 1, 1, 0)


@row
def names_come_and_go():
    path = make("name", 5, 6)
    os.link(path, f"{W}/name2")
    os.chown(f"{W}/name2", 7, 8)
    os.rename(path, f"{W}/name3")
    seen = [own(f"{W}/name2"), own(f"{W}/name3")]
    os.unlink(f"{W}/name3")
    fd = os.open(f"{W}/name2", os.O_RDONLY)
    os.unlink(f"{W}/name2")
    seen.append(own(fd))
    os.fchown(fd, 9, 10)
    seen.append(own(fd))
    make("name2")
    return seen, own(f"{W}/name2"), own(fd)


@row
def bits_and_new_owners():
    seen = []
    for bits in [0o4755, 0o2755, 0o6711, 0o2644, 0o1777]:
        path = make("bits", 1, 1, bits)
        seen.append(mode(path))
        os.chown(path, 2, 2)
        seen.append((mode(path), own(path)))
        os.chmod(path, bits)
        seen.append((mode(path), own(path)))
    os.mkdir(f"{W}/bitsd")
    os.chmod(f"{W}/bitsd", 0o3775)
    os.chown(f"{W}/bitsd", 2, 2)
    return seen, mode(f"{W}/bitsd")


@row
def capabilities_of_files():
    path, value = make("cap", bits=0o755), struct.pack("5I", 0x02000001, 1 << 10, 0, 0, 0)
    os.setxattr(path, "security.capability", value)
    seen = [os.getxattr(path, "security.capability") == value, own(path)]
    os.chown(path, 3, 3)
    return seen, tried(os.getxattr, path, "security.capability"), own(path)


@row
def a_group_is_inherited_from_a_directory():
    os.mkdir(f"{W}/sg")
    os.chown(f"{W}/sg", 20, 21)
    os.chmod(f"{W}/sg", 0o2777)

    def work():
        os.mkdir(f"{W}/sg/d")
        open(f"{W}/sg/f", "w").close()
        os.symlink("x", f"{W}/sg/l")
        os.mkfifo(f"{W}/sg/p")
        return [(own(f"{W}/sg/{name}", follow_symlinks=False)) for name in "dflp"], mode(f"{W}/sg/d")

    return as_user(work)


@row
def ids_change_and_stay_changed():
    def work():
        seen = [ids()]
        os.setresgid(5, 6, 7)
        os.setresuid(1, 2, 3)
        seen.append(ids())
        seen.append((os.getuid(), os.geteuid(), os.getgid(), os.getegid()))
        for again in [lambda: os.setuid(0), lambda: os.setreuid(0, -1), lambda: os.seteuid(3), lambda: os.setresuid(3, 3, 3),
                      lambda: os.setgid(0), lambda: os.setgroups([]), lambda: os.setegid(7), lambda: os.setuid(65000)]:
            seen.append((tried(again), ids()))
        return seen

    return child(work), ids()


@row
def root_acts_for_a_while_as_another():
    def work():
        os.setegid(8)
        os.seteuid(9)
        make_none = tried(os.chown, f"{W}", 1, 1)
        with open(f"{W}/while", "w"):
            pass
        first = own(f"{W}/while"), make_none, capabilities()
        os.seteuid(0)
        os.setegid(0)
        os.chown(f"{W}/while", 10, 11)
        return first, own(f"{W}/while"), capabilities()

    os.chmod(W, 0o777)
    return child(work)


@row
def a_file_system_user_is_only_that():
    def work():
        was = libc.setfsgid(8), libc.setfsuid(9)
        with open(f"{W}/fs", "w"):
            pass
        return was, own(f"{W}/fs"), os.getresuid(), libc.setfsuid(-1), libc.setfsuid(0), libc.setfsuid(-1)

    return child(work)


@row
def groups_are_in_order():
    def work():
        os.setgroups([30, 10, 20])
        few = array.array("I", [0] * 2)
        return os.getgroups(), raw(115, 0, 0), raw(115, 2, few.buffer_info()[0]), raw(115, 3, 8), raw(116, 70000, 8), raw(116, 2, 8)

    return child(work)


@row
def a_user_owns_what_it_makes():
    def work():
        os.chdir(f"{W}/mine")
        open("f", "w").close()
        os.mkdir("d")
        os.symlink("f", "l")
        os.link("f", "h")
        os.mkfifo("p")
        socket.socket(socket.AF_UNIX).bind("s")
        made = [own(name, follow_symlinks=False) for name in "fdlhps"]
        tries = [tried(os.chown, "f", 0, -1), tried(os.chown, "f", -1, 1002), tried(os.chown, "f", -1, 0),
                 tried(os.lchown, "l", 1000, 1001), tried(os.chown, "f", 1000, 1002), tried(os.chown, "/etc", -1, -1)]
        os.chmod("f", 0o640)
        os.rename("f", "g")
        return made, tries, own("g"), mode("g")

    os.mkdir(f"{W}/mine")
    os.chown(f"{W}/mine", 1000, 1001)
    return as_user(work)


@row
def every_way_to_make_a_file():
    O = os

    def fd_flags(fd):
        import fcntl
        return fcntl.fcntl(fd, fcntl.F_GETFD), hex(fcntl.fcntl(fd, fcntl.F_GETFL) & ~0o100000)

    def opened(path, flags, mode=0o666, **named):
        try:
            fd = os.open(path, flags, mode, **named)
        except OSError as error:
            return errno.errorcode[error.errno]
        said = own(fd), fd_flags(fd)
        os.close(fd)
        return said

    def how(path, flags, bits=0, resolve=0):
        fd = -1
        # EAGAIN: something was renamed on this machine just then
        while fd == -1:
            fd = libc.syscall(OPENAT2, AT_FDCWD, path.encode(), struct.pack("QQQ", flags, bits, resolve), 24)
            if fd == -1 and ctypes.get_errno() != errno.EAGAIN:
                return errno.errorcode[ctypes.get_errno()]
        os.close(fd)
        return own(path), mode(path)

    def work():
        os.chdir(f"{W}/making")
        os.umask(0o027)
        here = os.open(".", os.O_RDONLY)
        seen = [opened("f", O.O_CREAT | O.O_WRONLY), mode("f"), opened("f", O.O_CREAT | O.O_APPEND | O.O_RDWR),
                opened("f", O.O_CREAT | O.O_EXCL), opened("x", O.O_CREAT | O.O_EXCL | O.O_RDWR | O.O_CLOEXEC, 0o400), mode("x"),
                opened("at", O.O_CREAT | O.O_WRONLY | O.O_TRUNC | O.O_NONBLOCK, dir_fd=here), opened("d/", O.O_CREAT),
                opened(".", O.O_CREAT), opened("none/f", O.O_CREAT), opened("n" * 256, O.O_CREAT), opened("root", O.O_CREAT)]
        os.symlink("there", "to")
        os.symlink(f"{W}/making/to", "far")
        os.symlink("loop", "loop")
        os.symlink("none/f", "lost")
        seen += [opened("far", O.O_CREAT | O.O_WRONLY), own("there"), opened("to", O.O_CREAT | O.O_EXCL), opened("loop", O.O_CREAT),
                 opened("lost", O.O_CREAT), opened("to", O.O_CREAT | O.O_NOFOLLOW)]
        seen += [raw(CREAT, b"creat", 0o640), own("creat"), raw(OPEN, b"open", O.O_CREAT, 0o644), own("open")]
        seen += [how("how", O.O_CREAT | O.O_WRONLY, 0o666), how("d/../how2", O.O_CREAT, 0o666, 8), how("../out", O.O_CREAT, 0o666, 8),
                 how("f", O.O_RDONLY), how("how3", O.O_CREAT, 0o666, 1 << 40)]
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o666)
        seen.append((own(fd), fd_flags(fd)))
        raw(LINKAT, AT_FDCWD, f"/proc/self/fd/{fd}".encode(), AT_FDCWD, b"named", 0x400)
        seen += [own("named"), mode("named"), raw(MKDIR, b"m/", 0o777), own("m"), mode("m"), raw(MKDIR, b"m", 0o777)]
        os.mkfifo("p", 0o666)
        os.mknod("k", stat.S_IFREG | 0o666)
        os.mknod("s", stat.S_IFSOCK | 0o666)
        seen += [(own(name), mode(name)) for name in "pks"] + [tried(os.mkfifo, "p")]
        seen += [tried(os.symlink, "x", "to"), raw(SYMLINK, 8, b"fault"), raw(OPEN, 8, O.O_CREAT, 0)]
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("d/../sock")
        listener.listen()
        caller = socket.socket(socket.AF_UNIX)
        caller.connect("sock")
        seen += [listener.getsockname(), own("sock"), mode("sock"), tried(socket.socket(socket.AF_UNIX).bind, "sock")]
        abstract = socket.socket(socket.AF_UNIX)
        seen += [tried(abstract.bind, "\0rows"), tried(socket.socket(socket.AF_UNIX).bind, "none/sock")]
        seen += [tried(socket.socket(socket.AF_INET).bind, ("127.0.0.1", 0))]
        return seen

    os.makedirs(f"{W}/making/d")
    make("making/root", 0, 0, 0o666)
    os.chown(f"{W}/making", 1000, 1001)
    return as_user(work)


@row
def no_more_descriptors():
    def work():
        import resource
        os.chdir(f"{W}/few")
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        return tried(os.open, "f", os.O_CREAT), tried(os.stat, "f")

    os.mkdir(f"{W}/few")
    os.chmod(f"{W}/few", 0o777)
    return as_user(work)


@row
def root_takes_a_directory_s_group():
    os.mkdir(f"{W}/staff")
    os.chown(f"{W}/staff", 5, 50)
    os.chmod(f"{W}/staff", 0o2775)
    os.chdir(f"{W}/staff")
    open("f", "w").close()
    os.makedirs("d/d")
    open("d/d/f", "w").close()
    os.symlink("f", "l")
    os.chown("d", -1, 0)
    open("d/g", "w").close()
    os.rename("d/g", "g")
    return [(own(path, follow_symlinks=False), mode(path)) for path in ["f", "d", "d/d", "d/d/f", "l", "g"]]


@row
def a_number_given_again_is_another_file():
    def seen(path):
        return os.stat(path).st_ino, own(path)

    numbers, owners = set(), set()
    for turn in range(300):
        path = make("again", 5, 6) if turn % 2 else f"{W}/again"
        if turn % 2 == 0:
            open(path, "w").close()
        numbers.add(os.stat(path).st_ino)
        owners.add((turn % 2, own(path)))
        os.unlink(path)
    return sorted(owners)


@row
def many_makers_and_lookers():
    def maker(number):
        def work():
            for turn in range(50):
                path = f"{W}/many/{number}-{turn}"
                if turn % 2:
                    os.mkdir(path)
                else:
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            return "made"

        return lambda: as_user(work, 1000 + number, 2000 + number)

    os.mkdir(f"{W}/many")
    os.chmod(f"{W}/many", 0o777)
    said, wrong, done = [], set(), []
    makers = [threading.Thread(target=lambda number=number: said.append(maker(number)())) for number in range(4)]

    def look():
        while not done:
            for name in os.listdir(f"{W}/many"):
                number = int(name.split("-")[0])
                if own(f"{W}/many/{name}") != f"{1000 + number}:{2000 + number}":
                    wrong.add(name)

    looker = threading.Thread(target=look)
    looker.start()
    [maker.start() for maker in makers]
    [maker.join() for maker in makers]
    done.append(True)
    looker.join()
    return said, sorted(wrong), len(os.listdir(f"{W}/many"))


@row
def children_inherit():
    def work():
        became = child(ids)
        orphan, _ = os.pipe()
        reader, writer = os.pipe()
        if os.fork() == 0:
            if os.fork() == 0:
                while os.getppid() != 1:
                    pass
                os.write(writer, repr(ids()).encode())
                os._exit(0)
            os._exit(0)
        os.wait()
        said = os.read(reader, 999).decode()
        spawned = subprocess.run(["/usr/bin/id", "-G"], capture_output=True, text=True).stdout
        return became, said, spawned

    return as_user(work)


@row
def a_parent_that_changes_later_does_not_change_its_child():
    def work():
        go, told = os.pipe(), os.pipe()
        if os.fork() == 0:
            os.read(go[0], 1)
            os.write(told[1], repr(ids()).encode())
            os._exit(0)
        become(1000, 1001)
        os.write(go[1], b"x")
        return os.read(told[0], 999).decode(), ids()

    return child(work)


@row
def limits_are_no_matter():
    def work():
        import resource
        for limit in range(16):
            resource.setrlimit(limit, resource.getrlimit(limit))
        resource.prlimit(0, 10, resource.prlimit(0, 10))
        return ids(), resource.getrlimit(10), child(ids)

    return as_user(work)


@row
def threads_are_one():
    def work():
        done, seen = threading.Barrier(3), []

        def idle():
            done.wait()
            done.wait()
            seen.append(ids())
            open(f"{W}/thread{threading.get_native_id()}", "w").close()
            seen.append(own(f"{W}/thread{threading.get_native_id()}"))

        threads = [threading.Thread(target=idle) for _ in range(2)]
        [thread.start() for thread in threads]
        done.wait()
        become(1000, 1001, [7])
        done.wait()
        [thread.join() for thread in threads]
        return sorted(map(str, seen)), ids()

    return child(work)


@row
def a_thread_may_be_the_one_that_forks_and_execs():
    def work():
        become(1000, 1001)
        said = []
        thread = threading.Thread(target=lambda: said.append(subprocess.check_output(["/usr/bin/id", "-u"])))
        thread.start()
        thread.join()
        return said

    return child(work)


@row
def programs_with_bits():
    with open("/usr/bin/id", "rb") as file:
        program = file.read()
    run = lambda path, *args: tried(lambda: subprocess.run([path, *args], capture_output=True, text=True).stdout)
    uid = make("uid", 7, 8, 0o4755, program)
    both = make("both", 7, 8, 0o6755, program)
    root = make("root", 0, 0, 0o4755, program)
    idle = make("idle", 7, 8, 0o2745, program)
    script = make("script", 7, 8, 0o4755, b"#!/bin/sh\nid -u\n")
    work = lambda path: as_user(lambda: run(path, "-u") + run(path, "-ru") + run(path, "-g") + run(path, "-rg"))
    seen = [work(path) for path in [uid, both, root, idle]]
    seen.append(as_user(lambda: run(script)))
    seen.append(run(uid, "-u"))

    def forbidden():
        libc.prctl(38, 1, 0, 0, 0)
        become(1000, 1001)
        return run(uid, "-u")

    seen.append(child(forbidden))
    garbage = make("garbage", 7, 8, 0o6755, b"\x7fELFno")

    def refused():
        said = tried(os.execv, garbage, ["x"])
        return said, ids()

    seen.append(as_user(refused))
    return seen


@row
def a_program_saves_its_ids():
    def work():
        os.setresuid(1000, 1000, 0)
        said = subprocess.check_output(
            [sys.executable, "-c", "import os; print(os.getresuid())\ntry: os.setuid(0)\nexcept OSError: print('no')"], text=True)
        return said, os.getresuid()

    return child(work)


@row
def capabilities_go_and_are_kept():
    def work():
        seen = [capabilities()]
        seen.append((limit_capabilities(0xFA & 0x5FB, 0x5FB), capabilities()))
        seen.append(tried(os.chown, make_path, 1, 1))
        seen.append((limit_capabilities(0xC0, 0xC0), limit_capabilities(1, 1), capabilities()))
        return seen

    def kept():
        libc.prctl(8, 1, 0, 0, 0)
        become(1000, 1001)
        seen = [capabilities(), tried(os.chown, make_path, 1, 1)]
        seen.append((limit_capabilities(1, 1), tried(os.chown, make_path, 1, 1), capabilities()))
        return seen

    make_path = make("capable")
    return child(work), child(kept), as_user(capabilities), as_user(lambda: tried(os.chown, make_path, 1, 1))


@row
def what_leads_to_the_caller_alone():
    reader, writer = os.pipe()
    os.symlink(f"/proc/self/fd/{reader}", f"{W}/pipe")
    os.symlink("pipe", f"{W}/topipe")
    os.symlink(f"/dev/fd/{writer}", f"{W}/dev")
    seen = [tried(os.chown, f"{W}/topipe", 5, 6), own(f"{W}/topipe"), own(reader), own(f"{W}/topipe", follow_symlinks=False)]
    seen.append((tried(os.chown, f"{W}/dev", 7, 8), own(writer), own(f"/proc/thread-self/fd/{writer}")))
    os.makedirs(f"{W}/bare/dev/fd")
    os.makedirs(f"{W}/bare/proc/self")
    make("bare/dev/fd/0", 3, 4), make("bare/proc/self/exe", 5, 6)

    def work():
        os.chroot(f"{W}/bare")
        return own("/dev/fd/0"), own("/proc/self/exe"), tried(os.stat, "/dev/fd/1"), tried(os.stat, "/proc/self/fd/0")

    return seen, child(work)


@row
def peers_are_who_they_are():
    def peer(of):
        pid, uid, gid = struct.unpack("3i", of.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return uid, gid, pid

    def client():
        become(1000, 1001)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{W}/peer")
        said = peer(connection)[:2], peer(connection)[2] == os.getppid()
        connection.send(repr(said).encode())
        connection.recv(1)
        os._exit(0)

    os.chmod(W, 0o777)
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{W}/peer")
    os.chmod(f"{W}/peer", 0o777)
    server.listen()
    if (pid := os.fork()) == 0:
        client()
    connection, _ = server.accept()
    said = connection.recv(99).decode()
    seen = peer(connection)[:2], peer(connection)[2] == pid, connection.getsockopt(1, socket.SO_PEERCRED, 8)[4:]
    connection.send(b"x")
    os.waitpid(pid, 0)
    one, other = socket.socketpair()
    return said, seen, peer(one)[:2], peer(server)[:2], peer(socket.socket())[:2]


@row
def signals_reach_ones_own():
    def idle(uid, *, group=None, session=False):
        ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            if session:
                os.setsid()
            if group is not None:
                os.setpgid(0, group)
            if uid:
                os.setgroups([]), os.setresgid(uid, uid, uid), os.setresuid(uid, uid, uid)
            os.write(ready[1], b"x")
            while True:
                signal.pause()
        os.read(ready[0], 1)
        return pid

    def ended(pid):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def tried_all(pid, number):
        information = struct.pack("<3iiii", number, 0, -1, 0, os.getpid(), os.getuid()).ljust(128, b"\0")
        fd = os.pidfd_open(pid)
        return [tried(os.kill, pid, number), raw(TGKILL, pid, pid, number), raw(TKILL, pid, number), raw(QUEUE, pid, number, information),
                raw(QUEUE_TO_THREAD, pid, pid, number, information), tried(signal.pidfd_send_signal, fd, number)]

    TGKILL, TKILL, QUEUE, QUEUE_TO_THREAD = (234, 200, 129, 297) if platform.machine() == "x86_64" else (131, 130, 138, 240)
    ours, roots, other, apart = idle(1000), idle(0), idle(1001), idle(1001, session=True)
    seen = [as_user(lambda pid=pid: tried_all(pid, 0)) for pid in [ours, roots, other, 1]]
    seen.append(as_user(lambda: [tried(os.kill, pid, signal.SIGCONT) for pid in [ours, roots, other, apart]]))
    seen.append(as_user(lambda: (tried(os.kill, os.getpid(), 0), raw(TGKILL, os.getpid(), os.getpid(), 0), tried(os.kill, 99999, 0),
                                 tried(os.kill, ours, 99), tried(os.kill, -99999, 0))))

    def set_user_id():
        os.setresuid(1000, 0, 0)
        return tried(os.kill, ours, 0), tried(os.kill, roots, 0)

    seen.append(child(set_user_id))
    group = idle(1000, group=0)
    mixed = [group, idle(1001, group=group), idle(0, group=group)]
    seen.append(as_user(lambda: (tried(os.killpg, group, 0), tried(os.killpg, mixed[1], 0), tried(os.killpg, group, signal.SIGTERM))))
    seen.append(ended(mixed[0]))
    seen.append(as_user(lambda: tried(os.killpg, group, signal.SIGTERM)))
    seen.append([(tried(os.kill, pid, signal.SIGKILL), ended(pid)) for pid in mixed[1:]])
    seen.append(as_user(lambda: tried(os.kill, -1, signal.SIGTERM)))
    seen.append(ended(ours))
    seen.append([own(f"/proc/{pid}") for pid in [roots, other, apart]])
    here = os.open("/proc", os.O_RDONLY)
    seen.append((own(str(other), dir_fd=here), own(f"/proc/{other}/"), statx(f"/proc/{other}"), tried(os.stat, "/proc/99999"), own("/proc/sys")))
    seen.append([(tried(os.kill, pid, signal.SIGKILL), ended(pid)) for pid in [roots, other, apart]])
    return seen


@row
def a_program_that_lies_where_it_lay_is_another():
    def work():
        libc.personality(0x0040000)
        again = "import os, sys\nif os.path.exists('%s'): print(os.getresuid(), flush=True), os._exit(0)\nopen('%s', 'w'), os.setresuid(0, 1000, 0)\nos.execv(sys.executable, sys.orig_argv)"
        again = again.replace("%s", f"{W}/again")
        return subprocess.run([sys.executable, "-c", again], capture_output=True, text=True).stdout

    os.chmod(W, 0o777)
    return child(work)


def x86():
    """Calls the way of 32-bit x86: int 0x80 with numbers and addresses of 32 bits."""
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(bytes.fromhex("53 89f8 89f3 4189ca 89d1 4489d2 4489c6 4489cf cd80 5b c3"))
    start = ctypes.addressof(ctypes.c_char.from_buffer(code))
    function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 6)(start)
    low = mmap.mmap(-1, 65536, flags=0x22 | 0x40)
    address = ctypes.addressof(ctypes.c_char.from_buffer(low))
    x86.kept = code, low

    def call(number, *args):
        low[:] = bytes(len(low))
        at, given = 0, []
        for arg in args:
            if isinstance(arg, bytes):
                low[at : at + len(arg)] = arg
                arg, at = address + at, at + 4096
            given.append(arg & 0xFFFFFFFF)
        done = function(number, *given, *[0] * (5 - len(given)))
        return errno.errorcode[-done] if -4096 < done < 0 else done

    return call, lambda place, form: struct.unpack_from(form, low, place * 4096)


@row
def calls_of_32_bits():
    if platform.machine() != "x86_64":
        return "none"
    call, told = x86()
    path = make("x86", 5, 6)
    os.chmod(W, 0o777)
    name, seen = path.encode() + b"\0", []
    for number, args in [(212, (7, 8)), (182, (9, 0xFFFF)), (198, (-1, 10)), (16, (11, 12)), (182, (0x10001, 13))]:
        seen.append((call(number, name, *args), own(path)))
    fd = os.open(path, os.O_RDONLY)
    for number, args in [(207, (14, 15)), (95, (16, 17))]:
        seen.append((call(number, fd, *args), own(fd)))
    seen.append((call(298, AT_FDCWD, name, 18, 19, 0), own(path)))
    room = bytes(4096)
    true = os.stat(path)
    for number, args, place in [(195, (name, room), 1), (196, (name, room), 1), (197, (fd, room), 0), (300, (AT_FDCWD, name, room, 0), 1)]:
        said = call(number, *args)
        device, _, low, bits, links, uid, gid, rdev, _, size, block, blocks, atime, _, mtime, mnanos, ctime, cnanos, inode = told(place, "<QIIIIIIQIqIqIIIIIIQ")
        same = (device, inode, low, bits, links, size, block, blocks) == (
            true.st_dev, true.st_ino, true.st_ino & 0xFFFFFFFF, true.st_mode, true.st_nlink, true.st_size, true.st_blksize, true.st_blocks)
        times = (mtime * 10**9 + mnanos, ctime * 10**9 + cnanos) == (true.st_mtime_ns, true.st_ctime_ns)
        seen.append((said, uid, gid, rdev, same, times))
    os.chown(path, 60000, 20)
    for number, args, place in [(106, (name, room), 1), (107, (name, room), 1), (108, (fd, room), 0)]:
        said = call(number, *args)
        device, inode, bits, links, uid, gid, rdev, size = told(place, "<IIHHHHII")
        seen.append((said, uid, gid, rdev, (device, inode, bits, links, size) == (true.st_dev, true.st_ino, true.st_mode, 1, 1)))
    call(383, AT_FDCWD, name, 0, 0x7FF, room)
    seen.append(told(1, "<20xII"))
    seen.append([call(number) for number in [24, 47, 49, 50, 199, 200, 201, 202]])

    def change():
        seen = [call(81, 2, struct.pack("2H", 30, 20)), os.getgroups(), call(206, 2, struct.pack("2I", 60000, 20)), os.getgroups()]
        seen += [call(205, 2, room), told(0, "2I"), call(80, 2, room), told(0, "2H"), call(80, 0, 0), call(80, 1, room)]
        seen += [call(170, 5, 0xFFFF, 7), os.getresgid(), call(210, 60000, -1, 8), os.getresgid()]
        seen += [call(171, room, room, room), told(0, "H"), told(1, "H"), told(2, "H"), call(47)]
        seen += [call(211, room, room, room), told(0, "I"), told(1, "I"), told(2, "I"), call(200)]
        seen += [call(139, 9), call(216, 5), call(71, 5, 5), call(204, -1, 8), call(46, 5), call(214, 0xFFFFFFFF), call(46, 0xFFFF)]
        seen += [call(208, 1, 2, 3), ids(), call(213, 0), call(23, 2), call(70, 0, 0), call(203, -1, 1), call(138, 9), call(215, 9), ids()]
        seen += [call(212, name, 1, 1), call(206, 0, 0)]
        return seen

    def peer():
        become(1000, 1001)
        one, _ = socket.socketpair()
        seen = [call(365, one.fileno(), 1, 17, room, struct.pack("I", 12)), told(0, "3I")[1:], told(1, "I")]
        # socketcall, whose arguments lie in memory
        at = ctypes.addressof(ctypes.c_char.from_buffer(x86.kept[1]))
        for option, length in [(17, 12), (17, 8), (3, 4)]:
            arguments = struct.pack("5I", one.fileno(), 1, option, at + 4096, at + 8192)
            seen += [call(102, 15, arguments, room, struct.pack("I", length)), told(1, "3I")[1:], told(2, "I")]
        return seen, call(102, 15, 8), call(365, -1, 1, 17, room, room), bound(at)

    def bound(at):
        seen = []
        for name, size in [(f"{W}/x86socket", 110), (f"{W}/none/x86socket", 110), ("\0x86", 6)]:
            address = struct.pack("H108s", socket.AF_UNIX, name.encode())
            arguments = struct.pack("3I", socket.socket(socket.AF_UNIX).detach(), at + 4096, size)
            seen.append(call(102, 2, arguments, address))
        return seen, own(f"{W}/x86socket"), call(102, 2, 8), call(37, os.getppid(), 0)

    def run():
        become(1000, 1001)
        seen = [call(24), call(199), call(184, struct.pack("Ii", 0x20080522, 0), room), told(1, "2I")]
        seen += [call(76, 10, room), told(0, "2I"), call(191, 10, room), told(0, "2I"), call(75, 10, struct.pack("2I", 0xFFFFFFFF, 0xFFFFFFFF)), call(24)]
        seen += [call(340, 0, 10, 0, room), told(0, "2Q"), call(14, f"{W}/null".encode() + b"\0", 0o20666, 0x103)]
        program = f"{W}/idcopy".encode() + b"\0"
        os.dup2(os.open(f"{W}/said", os.O_CREAT | os.O_RDWR), 1)
        if os.fork() == 0:
            low = struct.pack("3I", 0, 0, 0)
            os._exit(99 if call(11, program, low, low) else 0)
        os.wait()
        return seen, open(f"{W}/said").read()

    with open("/usr/bin/id", "rb") as file:
        make("idcopy", 7, 8, 0o6755, file.read())
    return seen, child(change), child(peer), child(run)


@row
def power_is_bounded_and_handed_down():
    def prctl(*args):
        return raw(157, *(args + (0,) * 4)[:5])

    def ran(script, program=sys.executable):
        done = subprocess.run([program, "-c", "import os, ctypes\n" + script], capture_output=True, text=True)
        return done.stdout + done.stderr[-50:].strip()

    setgid, regroup = 1 << 6, "os.setgroups([3]); print(os.getgroups())"

    def ambient():
        seen = [prctl(47, 2, 6), limit_capabilities(0xFB, 0xFB, setgid), prctl(47, 2, 6), prctl(47, 1, 6), prctl(8, 1)]
        become(1000, 1001)
        seen += [prctl(47, 1, 6), limit_capabilities(setgid, setgid, setgid), prctl(47, 2, 6), prctl(47, 2, 0), prctl(7), capabilities()]
        seen += [ran(regroup), prctl(47, 3, 6), ran(regroup), prctl(47, 9), prctl(47, 2, 99), prctl(47, 4, 0, 1)]
        return seen, prctl(47, 2, 6), prctl(47, 4), prctl(47, 1, 6)

    def bounding():
        seen = [prctl(23, 0), prctl(24, 0), prctl(23, 0), tried(os.chown, path, 1, 1), ran(f"os.chown('{path}', 2, 2)"), prctl(24, 99), prctl(23, 99)]
        become(1000, 1001)
        return seen, prctl(24, 1), ran("print(1)")

    def secure():
        seen = [prctl(27), prctl(28, 12), prctl(28, 0), prctl(28, 1 << 9), prctl(27), prctl(8, 2), prctl(8, 1), prctl(7), prctl(27)]
        os.setresuid(5, 5, 5)
        return seen, capabilities(), ran("print(1)"), prctl(28, 13), tried(os.chown, path, 3, 3)

    def no_root():
        return prctl(28, 3), capabilities(), ran(f"os.chown('{path}', 2, 2)"), tried(os.chown, path, 4, 4)

    def file(name, value):
        with open(sys.executable, "rb") as program:
            made = make(name, bits=0o755, content=program.read())
        os.setxattr(made, "security.capability", value)
        return made

    path = make("power")
    given = file("given", struct.pack("<5I", 0x02000001, setgid, 0, 0, 0))
    idle = file("idle", struct.pack("<5I", 0x02000000, setgid, 0, 0, 0))
    beyond = file("beyond", struct.pack("<5I", 0x02000001, 1 << 20, 0, 0, 0))
    run = lambda program: as_user(lambda: tried(ran, regroup, program))
    return child(ambient), child(bounding), child(secure), child(no_root), run(given), run(idle), run(beyond), tried(ran, regroup, beyond)


@row
def another_root():
    os.makedirs(f"{W}/jail/sub")
    make("jail/sub/f", 3, 4)
    os.symlink("/sub/f", f"{W}/jail/l")
    make("outside", 1, 1)

    def work():
        os.chroot(f"{W}/jail")
        before = own("/l"), own("sub/f") if os.path.exists("sub/f") else None
        os.chdir("/")
        os.chown("/l", 5, 6)
        os.chown("../../sub", 7, 8)
        return before, own("sub/f"), own("/sub"), tried(os.stat, "/outside"), tried(os.stat, W)

    return child(work), own(f"{W}/jail/sub/f"), own(f"{W}/jail/sub"), own(f"{W}/outside")


@row
def other_mounts():
    path = "/dev/shm/f"
    open(path, "w").close()
    os.chown(path, 5, 6)
    seen = [own(path)]
    os.unlink(path)
    open(path, "w").close()
    return seen, own(path), as_user(lambda: tried(os.chown, path, 1, 1))


@row
def times_of_change_move_on():
    path = make("ctime")
    before = os.stat(path)
    os.chown(path, 5, 6)
    after = os.stat(path)
    return after.st_mtime_ns == before.st_mtime_ns, after.st_size, after.st_nlink, stat.filemode(after.st_mode)


os.umask(0o022)
os.mkdir(W)
chosen = sys.argv[1:]
for test in ROWS:
    if not chosen or test.__name__ in chosen:
        print(f"{test.__name__}: {child(test)}", flush=True)
