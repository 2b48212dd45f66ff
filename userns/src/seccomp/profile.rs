//! The default profile as lists: what a step may ask of the kernel, what it is refused, and what a capability adds.
//!
//! The selection is that of the usual container engines. Three answers: allowed; EPERM for what is known and withheld;
//! ENOSYS for everything else, so that a program that tries a newer request first falls back to the older one.

/// Numbers of system calls on the architecture this program was built for.
pub(super) type Numbers = &'static [libc::c_long];

macro_rules! numbers {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// What every step may do, whatever its capabilities; the kernel's own checks still apply.
pub(super) const ALLOWED: &[Numbers] =
    &[FILES, MEMORY, PROCESSES, IDENTITY, SIGNALS, TIME, MESSAGES, EVENTS, NEWER, LEGACY];

const FILES: Numbers = numbers![
    SYS_chdir SYS_close SYS_close_range SYS_copy_file_range SYS_dup SYS_dup3 SYS_faccessat SYS_faccessat2 SYS_fadvise64
    SYS_fallocate SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr
    SYS_flistxattr SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_getcwd
    SYS_getdents64 SYS_getxattr SYS_io_cancel SYS_io_destroy SYS_io_getevents SYS_io_setup SYS_io_submit SYS_ioctl
    SYS_lgetxattr SYS_linkat SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr SYS_mkdirat
    SYS_mknodat SYS_name_to_handle_at SYS_newfstatat SYS_openat SYS_openat2 SYS_pipe2 SYS_pread64 SYS_preadv SYS_preadv2
    SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead SYS_readlinkat SYS_readv SYS_removexattr SYS_renameat2
    SYS_sendfile SYS_setxattr SYS_splice SYS_statfs SYS_statx SYS_symlinkat SYS_sync SYS_sync_file_range SYS_syncfs
    SYS_tee SYS_truncate SYS_umask SYS_unlinkat SYS_utimensat SYS_vmsplice SYS_write SYS_writev SYS_renameat
];

const MEMORY: Numbers = numbers![
    SYS_brk SYS_get_mempolicy SYS_madvise SYS_mbind SYS_membarrier SYS_memfd_create SYS_memfd_secret SYS_mincore
    SYS_mlock SYS_mlock2 SYS_mlockall SYS_mmap SYS_mprotect SYS_mremap SYS_msync SYS_munlock SYS_munlockall SYS_munmap
    SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect SYS_process_mrelease SYS_remap_file_pages SYS_set_mempolicy
];

// personality, socket and clone are further judged by their arguments: see `Condition`
const PROCESSES: Numbers = numbers![
    SYS_clone SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_futex SYS_get_robust_list SYS_getcpu SYS_getitimer
    SYS_getpgid SYS_getpid SYS_getppid SYS_getpriority SYS_getrusage SYS_getsid SYS_gettid SYS_ioprio_get SYS_ioprio_set
    SYS_landlock_add_rule SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_personality SYS_pidfd_open
    SYS_prctl SYS_prlimit64 SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace SYS_rseq SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam SYS_sched_getscheduler
    SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr SYS_sched_setparam SYS_sched_setscheduler
    SYS_sched_yield SYS_seccomp SYS_set_robust_list SYS_set_tid_address SYS_setitimer SYS_setpgid SYS_setpriority
    SYS_setsid SYS_sysinfo SYS_times SYS_uname SYS_wait4 SYS_waitid SYS_restart_syscall SYS_getrandom
];

const IDENTITY: Numbers = numbers![
    SYS_capget SYS_capset SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getresgid SYS_getresuid SYS_getuid
    SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups SYS_setregid SYS_setresgid SYS_setresuid SYS_setreuid SYS_setuid
];

const SIGNALS: Numbers = numbers![
    SYS_kill SYS_pidfd_send_signal SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo
    SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_sigaltstack SYS_signalfd4
    SYS_tgkill SYS_tkill
];

const TIME: Numbers = numbers![
    SYS_adjtimex SYS_clock_adjtime SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_gettimeofday SYS_nanosleep
    SYS_timer_create SYS_timer_delete SYS_timer_getoverrun SYS_timer_gettime SYS_timer_settime SYS_timerfd_create
    SYS_timerfd_gettime SYS_timerfd_settime
];

const MESSAGES: Numbers = numbers![
    SYS_accept SYS_accept4 SYS_bind SYS_connect SYS_getpeername SYS_getsockname SYS_getsockopt SYS_listen
    SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive SYS_mq_timedsend SYS_mq_unlink SYS_msgctl SYS_msgget
    SYS_msgrcv SYS_msgsnd SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_semctl SYS_semget SYS_semop SYS_semtimedop
    SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_setsockopt SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget SYS_shutdown SYS_socket
    SYS_socketpair
];

const EVENTS: Numbers = numbers![
    SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2 SYS_fanotify_mark SYS_inotify_add_watch
    SYS_inotify_init1 SYS_inotify_rm_watch SYS_ppoll SYS_pselect6
];

/// Since 5.11 a new system call has one number on every architecture, and the C library's headers come late.
const NEWER: Numbers = &[
    333 + IO_PGETEVENTS_SHIFT,
    449, // futex_waitv
    451, // cachestat
    452, // fchmodat2
    453, // map_shadow_stack
    454, // futex_wake
    455, // futex_wait
    456, // futex_requeue
    462, // mseal
    463, // setxattrat
    464, // getxattrat
    465, // listxattrat
    466, // removexattrat
    468, // file_getattr
    469, // file_setattr
];

/// `io_pgetevents` is the one row above that is older than the common numbers: 333 on x86-64, 292 elsewhere.
#[cfg(target_arch = "x86_64")]
const IO_PGETEVENTS_SHIFT: libc::c_long = 0;
#[cfg(not(target_arch = "x86_64"))]
const IO_PGETEVENTS_SHIFT: libc::c_long = 292 - 333;

/// What only the older architectures have.
#[cfg(target_arch = "x86_64")]
const LEGACY: Numbers = numbers![
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_wait
    SYS_eventfd SYS_fork SYS_futimesat SYS_get_thread_area SYS_getdents SYS_getpgrp SYS_getrlimit SYS_inotify_init
    SYS_lchown SYS_link SYS_lstat SYS_mkdir SYS_mknod SYS_modify_ldt SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink
    SYS_rename SYS_rmdir SYS_select SYS_set_thread_area SYS_setrlimit SYS_signalfd SYS_stat SYS_symlink SYS_time
    SYS_unlink SYS_utime SYS_utimes SYS_vfork
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: Numbers = &[];

/// What a capability adds. Without it the same calls are refused with EPERM.
pub(super) const BY_CAPABILITY: &[(&str, Numbers)] = &[
    ("CAP_DAC_READ_SEARCH", numbers![SYS_open_by_handle_at]),
    (
        "CAP_SYS_ADMIN",
        numbers![
            SYS_bpf SYS_fanotify_init SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick SYS_lookup_dcookie SYS_mount
            SYS_mount_setattr SYS_move_mount SYS_open_tree SYS_perf_event_open SYS_pivot_root SYS_quotactl
            SYS_quotactl_fd SYS_setdomainname SYS_sethostname SYS_setns SYS_umount2 SYS_unshare
        ],
    ),
    ("CAP_SYS_BOOT", numbers![SYS_reboot]),
    ("CAP_SYS_CHROOT", numbers![SYS_chroot]),
    ("CAP_SYS_MODULE", numbers![SYS_delete_module SYS_finit_module SYS_init_module]),
    ("CAP_SYS_NICE", numbers![SYS_migrate_pages SYS_move_pages SYS_set_mempolicy_home_node]),
    ("CAP_SYS_PACCT", numbers![SYS_acct]),
    ("CAP_SYS_PTRACE", numbers![SYS_kcmp SYS_pidfd_getfd SYS_process_madvise]),
    #[cfg(target_arch = "x86_64")]
    ("CAP_SYS_RAWIO", numbers![SYS_ioperm SYS_iopl]),
    ("CAP_SYS_TIME", numbers![SYS_clock_settime SYS_settimeofday]),
    ("CAP_SYS_TTY_CONFIG", numbers![SYS_vhangup]),
    ("CAP_SYSLOG", numbers![SYS_syslog]),
];

/// Refused with EPERM whatever the capabilities: kernel interfaces with no place in a build, and keyrings, which no
/// namespace divides.
pub(super) const DENIED: &[Numbers] = &[
    numbers![
        SYS_add_key SYS_keyctl SYS_kexec_load SYS_nfsservctl SYS_request_key SYS_swapoff SYS_swapon SYS_userfaultfd
        SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup
    ],
    #[cfg(target_arch = "x86_64")]
    numbers![SYS_kexec_file_load SYS_sysfs SYS_uselib SYS_ustat],
];

/// The flags of `clone` that make a namespace (linux/sched.h).
pub(super) const NAMESPACE_FLAGS: [u32; 7] = [
    0x0002_0000, // mount
    0x0200_0000, // cgroup
    0x0400_0000, // uts
    0x0800_0000, // ipc
    0x1000_0000, // user
    0x2000_0000, // pid
    0x4000_0000, // net
];

/// The arguments of `personality` that change nothing of weight: Linux, 32-bit Linux, each with the old uname, and the
/// query.
pub(super) const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x0002_0000, 0x0002_0008, u32::MAX];

/// Numbers of 32-bit x86 that a step is refused (EPERM), the counterparts of what is withheld above. The list is a
/// refusal list, because the assembler knows one architecture; the kernel judges the rest by capabilities as ever.
#[cfg(target_arch = "x86_64")]
pub(super) const DENIED_I386: &[u32] = &[
    21,  // mount
    22,  // umount
    25,  // stime
    51,  // acct
    52,  // umount2
    62,  // ustat
    74,  // sethostname
    79,  // settimeofday
    86,  // uselib
    87,  // swapon
    88,  // reboot
    101, // ioperm
    103, // syslog
    110, // iopl
    111, // vhangup
    113, // vm86old
    115, // swapoff
    121, // setdomainname
    128, // init_module
    129, // delete_module
    131, // quotactl
    135, // sysfs
    136, // personality
    166, // vm86
    169, // nfsservctl
    217, // pivot_root
    253, // lookup_dcookie
    264, // clock_settime
    283, // kexec_load
    286, // add_key
    287, // request_key
    288, // keyctl
    294, // migrate_pages
    310, // unshare
    317, // move_pages
    336, // perf_event_open
    338, // fanotify_init
    342, // open_by_handle_at
    346, // setns
    349, // kcmp
    350, // finit_module
    357, // bpf
    374, // userfaultfd
    404, // clock_settime64
    425, // io_uring_setup
    426, // io_uring_enter
    427, // io_uring_register
    428, // open_tree
    429, // move_mount
    430, // fsopen
    431, // fsconfig
    432, // fsmount
    433, // fspick
    438, // pidfd_getfd
    440, // process_madvise
    442, // mount_setattr
    443, // quotactl_fd
    450, // set_mempolicy_home_node
];
