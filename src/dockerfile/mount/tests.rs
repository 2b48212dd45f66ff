//! Mounts in words.

use super::*;

fn bound(source: &str, target: &str) -> BindSpec {
    BindSpec { source: Some(source.to_owned()), target: target.to_owned(), ..BindSpec::default() }
}

fn memory(target: &str) -> TmpfsSpec {
    TmpfsSpec { target: target.to_owned(), ..TmpfsSpec::default() }
}

#[test]
fn binds_are_read() {
    let flags = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    let rows = [
        ("type=bind,source=/s,target=/t", bound("/s", "/t")),
        ("src=/s,dst=/t", bound("/s", "/t")),
        ("destination=/t,type=bind,source=a=b", bound("a=b", "/t")),
        ("target=/t", BindSpec { source: None, ..bound("", "/t") }),
        ("source=/s,target=/t,from=base", BindSpec { from: Some("base".into()), ..bound("/s", "/t") }),
        ("source=/s,target=/t,ro", BindSpec { writable: Some(false), ..bound("/s", "/t") }),
        ("source=/s,target=/t,readonly=false", BindSpec { writable: Some(true), ..bound("/s", "/t") }),
        ("source=/s,target=/t,ro,rw", BindSpec { writable: Some(true), ..bound("/s", "/t") }),
        ("source=/s,target=/t,rw=0", BindSpec { writable: Some(false), ..bound("/s", "/t") }),
        ("source=/s,target=/t,U", BindSpec { chown: true, ..bound("/s", "/t") }),
        ("source=/s,target=/t,bind-nonrecursive", BindSpec { non_recursive: true, ..bound("/s", "/t") }),
        (
            "source=/s,target=/t,bind-propagation=rshared",
            BindSpec { propagation: Some("rshared".into()), ..bound("/s", "/t") },
        ),
        ("source=/s,target=/t,z,relabel=private,consistency=cached", bound("/s", "/t")),
        (
            "source=/s,target=/t,noexec,nodev",
            BindSpec { flags: flags(&["noexec", "nodev"]), ..bound("/s", "/t") },
        ),
        ("\"source=/a,b\",target=/t", bound("/a,b", "/t")),
        ("\"source=/a\"\"b\",target=/t", bound("/a\"b", "/t")),
    ];
    for (text, want) in rows {
        assert_eq!(MountSpec::parse(text), Ok(MountSpec::Bind(want)), "{text}");
    }
}

#[test]
fn file_systems_in_memory_are_read() {
    let rows = [
        ("type=tmpfs,target=/t", memory("/t")),
        ("type=tmpfs,dst=/t,size=64m", TmpfsSpec { size: Some(64 << 20), ..memory("/t") }),
        (
            "type=tmpfs,dst=/t,tmpfs-size=4096,tmpfs-mode=0700",
            TmpfsSpec { size: Some(4096), mode: Some(0o700), ..memory("/t") },
        ),
        (
            "type=tmpfs,dst=/t,tmpcopyup,ro",
            TmpfsSpec { copy_up: true, writable: Some(false), ..memory("/t") },
        ),
        ("type=tmpfs,dst=/t,tmpcopyup,notmpcopyup", memory("/t")),
    ];
    for (text, want) in rows {
        assert_eq!(MountSpec::parse(text), Ok(MountSpec::Tmpfs(want)), "{text}");
    }
}

#[test]
fn caches_secrets_and_agents_are_read() {
    let cache = CacheSpec { target: "/t".into(), ..CacheSpec::default() };
    let secret =
        SecretSpec { id: "s".into(), target: Some("/run/secrets/s".into()), ..SecretSpec::default() };
    let ssh = SshSpec { id: "default".into(), ..SshSpec::default() };
    let rows = [
        ("type=cache,target=/t", MountSpec::Cache(cache.clone())),
        ("TYPE=cache,Target=t/u", MountSpec::Cache(CacheSpec { target: "t/u".into(), ..cache.clone() })),
        (
            "type=cache,dst=/t,id=i,sharing=locked,from=b,src=/s,mode=0700,uid=7,gid=8,ro",
            MountSpec::Cache(CacheSpec {
                id: Some("i".into()),
                target: "/t".into(),
                sharing: Sharing::Locked,
                from: Some("b".into()),
                source: Some("/s".into()),
                mode: Some(0o700),
                uid: 7,
                gid: 8,
                writable: Some(false),
            }),
        ),
        (
            "type=cache,target=/t,sharing=private",
            MountSpec::Cache(CacheSpec { sharing: Sharing::Private, ..cache }),
        ),
        ("type=secret,id=s", MountSpec::Secret(secret.clone())),
        ("type=secret,src=s", MountSpec::Secret(secret.clone())),
        (
            "type=secret,target=/x/s",
            MountSpec::Secret(SecretSpec { target: Some("/x/s".into()), ..secret.clone() }),
        ),
        (
            "type=secret,id=s,env=S",
            MountSpec::Secret(SecretSpec { target: None, env: Some("S".into()), ..secret.clone() }),
        ),
        (
            "type=secret,id=s,env=S,target=/x,required,mode=444,uid=1,gid=2",
            MountSpec::Secret(SecretSpec {
                target: Some("/x".into()),
                env: Some("S".into()),
                required: true,
                mode: Some(0o444),
                uid: 1,
                gid: 2,
                ..secret
            }),
        ),
        ("type=ssh", MountSpec::Ssh(ssh.clone())),
        (
            "type=ssh,id=i,target=/a,required=true,mode=0666,uid=1,gid=2",
            MountSpec::Ssh(SshSpec {
                id: "i".into(),
                target: Some("/a".into()),
                required: true,
                mode: Some(0o666),
                uid: 1,
                gid: 2,
            }),
        ),
    ];
    for (text, want) in rows {
        assert_eq!(MountSpec::parse(text), Ok(want), "{text}");
    }
}

#[test]
fn a_value_is_expanded_by_itself() {
    let expand = |value: &str| Ok::<_, MountSpecError>(value.replace("$x", "a,ro"));
    let want = MountSpec::Bind(bound("a,ro", "/t"));
    assert_eq!(MountSpec::parse_with("source=$x,target=/t", expand), Ok(want));
    let kind = |value: &str| Ok::<_, MountSpecError>(value.replace("$k", "tmpfs"));
    assert_eq!(MountSpec::parse_with("type=$k,target=/t", kind), Ok(MountSpec::Tmpfs(memory("/t"))));
}

#[test]
fn what_is_no_mount_is_refused_in_words() {
    for (text, want) in [
        ("", "a mount of type bind has no field \"\""),
        ("type=bind", "a mount needs a target: target=PATH"),
        ("type=tmpfs", "a mount needs a target: target=PATH"),
        ("type=bind,target=", "target=: expected a path"),
        (
            "type=volume,target=/t",
            "unsupported mount type \"volume\": expected bind, cache, tmpfs, secret or ssh",
        ),
        (
            "type=tmp,target=/t",
            "unsupported mount type \"tmp\" (did you mean tmpfs?): expected bind, cache, tmpfs, secret or ssh",
        ),
        ("type,target=/t", "unsupported mount type \"\": expected bind, cache, tmpfs, secret or ssh"),
        ("typ=bind,target=/t", "a mount of type bind has no field \"typ\" (did you mean type?)"),
        ("target=/", "invalid mount target \"/\": a mount cannot take the place of the root"),
        ("target=/a/../..", "invalid mount target \"/a/../..\": a mount cannot take the place of the root"),
        ("target=/t,required", "a mount of type bind has no field \"required\""),
        ("target=/t,mode=755", "a mount of type bind has no field \"mode\""),
        ("target=/t,sharing=locked", "a mount of type bind has no field \"sharing\""),
        ("type=cache", "a mount needs a target: target=PATH"),
        ("type=cache,target=/t,sharing=both", "sharing=both: expected shared, private or locked"),
        ("type=cache,target=/t,uid=app", "uid=app: expected a number, because a mount knows no names"),
        (
            "type=cache,target=/t,gid=4294967295",
            "gid=4294967295: expected a number, because a mount knows no names",
        ),
        ("type=cache,target=/t,size=1", "a mount of type cache has no field \"size\""),
        ("type=secret", "a secret mount needs an id or a target: id=NAME"),
        ("type=secret,id=a,source=b", "both id and source are given: they mean the same"),
        ("type=secret,id=a,from=b", "a mount of type secret has no field \"from\""),
        (
            "type=secret,id=a,require",
            "a mount of type secret has no field \"require\" (did you mean required?)",
        ),
        ("type=ssh,id=", "id=: expected a name"),
        ("type=ssh,env=x", "a mount of type ssh has no field \"env\""),
        ("type=tmpfs,target=/t,source=/s", "a mount of type tmpfs has no field \"source\""),
        ("target=/t,size=1", "a mount of type bind has no field \"size\""),
        ("target=/t,noexec=true", "a mount of type bind has no field \"noexec\""),
        ("target=/t,ro=maybe", "ro=maybe: expected true or false"),
        ("type=tmpfs,target=/t,size=0", "size=0: expected a number of bytes above 0, or one with k, m or g"),
        (
            "type=tmpfs,target=/t,size=1kk",
            "size=1kk: expected a number of bytes above 0, or one with k, m or g",
        ),
        ("type=tmpfs,target=/t,mode=9", "mode=9: expected permission bits in octal, such as 1777"),
        ("target=/t,relabel=x", "relabel=x: expected shared or private"),
        ("\"target=/t", "unbalanced quotes in \"\\\"target=/t\""),
        ("\"target=/t\"x", "unbalanced quotes in \"\\\"target=/t\\\"x\""),
    ] {
        assert_eq!(MountSpec::parse(text).map_err(|error| error.to_string()), Err(want.to_owned()), "{text}");
    }
}
