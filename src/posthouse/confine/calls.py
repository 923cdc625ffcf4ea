"""The numbers of system calls, by architecture. A name that is absent there has no entry (Linux 6.x, asm/unistd.h)."""

import platform
from typing import Final

_X86_64: Final = (
    "read:0 write:1 open:2 close:3 stat:4 fstat:5 lstat:6 poll:7 lseek:8 mmap:9 mprotect:10 munmap:11 brk:12 "
    "rt_sigaction:13 rt_sigprocmask:14 rt_sigreturn:15 ioctl:16 pread64:17 pwrite64:18 readv:19 writev:20 access:21 "
    "pipe:22 select:23 sched_yield:24 mremap:25 madvise:28 dup:32 dup2:33 nanosleep:35 getpid:39 socket:41 connect:42 "
    "accept:43 sendto:44 recvfrom:45 sendmsg:46 recvmsg:47 shutdown:48 bind:49 listen:50 getsockname:51 "
    "getpeername:52 socketpair:53 setsockopt:54 getsockopt:55 clone:56 fork:57 vfork:58 execve:59 exit:60 wait4:61 "
    "kill:62 uname:63 fcntl:72 flock:73 fsync:74 fdatasync:75 ftruncate:77 getdents64:217 getcwd:79 rename:82 "
    "mkdir:83 rmdir:84 link:86 unlink:87 readlink:89 chmod:90 fchmod:91 chown:92 umask:95 gettimeofday:96 getrlimit:97 "
    "sysinfo:99 getuid:102 getgid:104 geteuid:107 getegid:108 getppid:110 sigaltstack:131 statfs:137 fstatfs:138 "
    "chdir:80 capset:126 chroot:161 "
    "prctl:157 gettid:186 futex:202 sched_getaffinity:204 set_tid_address:218 restart_syscall:219 clock_gettime:228 "
    "clock_getres:229 clock_nanosleep:230 exit_group:231 epoll_wait:232 epoll_ctl:233 tgkill:234 openat:257 "
    "mkdirat:258 newfstatat:262 unlinkat:263 renameat:264 linkat:265 readlinkat:267 faccessat:269 pselect6:270 "
    "ppoll:271 set_robust_list:273 sync_file_range:277 epoll_pwait:281 timerfd_create:283 fallocate:285 "
    "timerfd_settime:286 timerfd_gettime:287 accept4:288 signalfd4:289 eventfd2:290 epoll_create1:291 dup3:292 "
    "pipe2:293 preadv:295 pwritev:296 recvmmsg:299 prlimit64:302 syncfs:306 sendmmsg:307 getcpu:309 renameat2:316 "
    "seccomp:317 getrandom:318 memfd_create:319 membarrier:324 copy_file_range:326 preadv2:327 pwritev2:328 statx:332 "
    "rseq:334 pidfd_send_signal:424 io_uring_setup:425 io_uring_enter:426 clone3:435 close_range:436 openat2:437 "
    "faccessat2:439 epoll_pwait2:441"
)
_AARCH64: Final = (
    "chdir:49 chroot:51 capset:91 "
    "getcwd:17 eventfd2:19 epoll_create1:20 epoll_ctl:21 epoll_pwait:22 dup:23 dup3:24 fcntl:25 ioctl:29 flock:32 "
    "mkdirat:34 unlinkat:35 linkat:37 renameat:38 statfs:43 fstatfs:44 ftruncate:46 fallocate:47 faccessat:48 "
    "fchmod:52 openat:56 close:57 pipe2:59 getdents64:61 lseek:62 read:63 write:64 readv:65 writev:66 pread64:67 "
    "pwrite64:68 preadv:69 pwritev:70 pselect6:72 ppoll:73 signalfd4:74 readlinkat:78 newfstatat:79 fstat:80 "
    "fsync:82 fdatasync:83 sync_file_range:84 timerfd_create:85 timerfd_settime:86 timerfd_gettime:87 exit:93 "
    "exit_group:94 set_tid_address:96 futex:98 set_robust_list:99 nanosleep:101 clock_gettime:113 clock_getres:114 "
    "clock_nanosleep:115 sched_getaffinity:123 sched_yield:124 restart_syscall:128 kill:129 tgkill:131 sigaltstack:132 "
    "rt_sigaction:134 rt_sigprocmask:135 rt_sigreturn:139 uname:160 getrlimit:163 umask:166 prctl:167 getcpu:168 "
    "gettimeofday:169 getpid:172 getppid:173 getuid:174 geteuid:175 getgid:176 getegid:177 gettid:178 sysinfo:179 "
    "socket:198 socketpair:199 bind:200 listen:201 accept:202 connect:203 getsockname:204 getpeername:205 sendto:206 "
    "recvfrom:207 setsockopt:208 getsockopt:209 shutdown:210 sendmsg:211 recvmsg:212 brk:214 munmap:215 mremap:216 "
    "clone:220 execve:221 mmap:222 mprotect:226 madvise:233 accept4:242 recvmmsg:243 wait4:260 prlimit64:261 "
    "syncfs:267 sendmmsg:269 renameat2:276 seccomp:277 getrandom:278 memfd_create:279 membarrier:283 "
    "copy_file_range:285 preadv2:286 pwritev2:287 statx:291 rseq:293 pidfd_send_signal:424 io_uring_setup:425 "
    "io_uring_enter:426 clone3:435 close_range:436 openat2:437 faccessat2:439 epoll_pwait2:441"
)
AUDIT_X86_64: Final = 0xC000003E  # AUDIT_ARCH_X86_64
_TABLES: Final = {"x86_64": (AUDIT_X86_64, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}


def architecture() -> int | None:
    """Give the audit number of this machine's calling convention; None: no filter is known for it."""
    found = _TABLES.get(platform.machine())
    return found[0] if found else None


def numbers(machine: str = "") -> dict[str, int]:
    """Give the numbers by name for a machine (this one unless said)."""
    _, text = _TABLES.get(machine or platform.machine(), (0, ""))
    pairs = (word.split(":") for word in text.split())
    return {name: int(number) for name, number in pairs}


def name_of(number: int, machine: str = "") -> str:
    """Give the name of a call, or its number as text."""
    return next((name for name, known in numbers(machine).items() if known == number), f"system call {number}")
