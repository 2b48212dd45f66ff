//! The names of machines that a RUN finds.

use super::worlds;
use crate::build::BUSYBOX;
use crate::support::World;

/// What a RUN with these options prints. The image has files of its own in /etc.
fn output(world: &World, args: &[&str], command: &str) -> String {
    let file = format!("{BUSYBOX}COPY etc /etc\nRUN {command}\n");
    let args = [&["--no-cache", "-t", "x"], args].concat();
    let said = world.build(&file, &args).good().stdout;
    let step = format!("RUN {command}\n");
    let printed = &said[said.find(&step).unwrap() + step.len()..];
    printed[..printed.find("--> ").unwrap()].to_owned()
}

#[test]
fn names_are_as_asked() {
    let (_, world) = worlds().remove(0);
    world.busybox();
    for name in ["hosts", "resolv.conf", "hostname"] {
        world.file(&format!("etc/{name}"), format!("image's {name}\n"));
    }
    let hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    let rows: [(&[&str], &str, String); 12] = [
        (&[], "cat /etc/hosts", format!("{hosts}127.0.0.1\trbuild\n")),
        (
            &["--add-host", "a;b:10.0.0.1", "--add-host", "c:::1", "--hostname", "builder"],
            "cat /etc/hosts",
            format!("{hosts}10.0.0.1\ta\n10.0.0.1\tb\n::1\tc\n127.0.0.1\tbuilder\n"),
        ),
        (&["--add-host", "h:host-gateway"], "grep -w h /etc/hosts", "127.0.0.1\th\n".to_owned()),
        (&["--no-hosts"], "cat /etc/hosts", "image's hosts\n".to_owned()),
        (&["--hostname", "a.b"], "hostname; cat /etc/hostname", "a.b\na.b\n".to_owned()),
        (
            &["--no-hostname", "--hostname", "a"],
            "hostname; cat /etc/hostname",
            "a\nimage's hostname\n".to_owned(),
        ),
        (
            &["--dns", "192.0.2.1", "--dns", "2001:db8::1"],
            "grep nameserver /etc/resolv.conf",
            "nameserver 192.0.2.1\nnameserver 2001:db8::1\n".to_owned(),
        ),
        (
            &["--dns-search", "a.example", "--dns-search", "b.example"],
            "grep search /etc/resolv.conf",
            "search a.example b.example\n".to_owned(),
        ),
        (&["--dns-search", "."], "grep -c search /etc/resolv.conf || true", "0\n".to_owned()),
        (
            &["--dns-option", "ndots:3", "--dns-option", "rotate"],
            "grep options /etc/resolv.conf",
            "options ndots:3 rotate\n".to_owned(),
        ),
        (&["--dns", "none"], "cat /etc/resolv.conf", "image's resolv.conf\n".to_owned()),
        // what was mounted can be written to, and the layer has the image's own
        (
            &[],
            "echo more >> /etc/hosts; echo more > /etc/resolv.conf; tail -n 1 /etc/hosts",
            "more\n".to_owned(),
        ),
    ];
    for (args, command, want) in rows {
        assert_eq!(output(&world, args, command), want, "{args:?}");
        let tree = world.tree("x");
        for name in ["hosts", "resolv.conf", "hostname"] {
            let line = format!("f 0644 0:0 {} etc/{name} ", "image's \n".len() + name.len());
            assert!(
                tree.iter().any(|entry| entry.starts_with(&line)),
                "{args:?}: {line} in\n{}",
                tree.join("\n")
            );
        }
    }
}

#[test]
fn bad_names_are_refused_before_anything_runs() {
    let world = World::new();
    world.busybox();
    let rows: [(&[&str], &str); 10] = [
        (&["--add-host", "a"], "expected NAME:ADDRESS"),
        (&["--add-host", "a:b"], "\"b\" is no IP address"),
        (&["--add-host", "a:1.1.1.1", "--no-hosts"], "cannot be used with"),
        (&["--dns", "localhost"], "\"localhost\" is no IP address"),
        (&["--dns", "none", "--dns", "1.1.1.1"], "--dns none leaves the image's /etc/resolv.conf"),
        (&["--dns", "none", "--dns-search", "a"], "--dns none leaves the image's /etc/resolv.conf"),
        (&["--dns-search", "a b"], "expected one word"),
        (&["--dns-option", ""], "expected one word"),
        (&["--hostname=-x"], "expected at most 64 letters, digits, dashes and dots"),
        (
            &["--network", "none", "--add-host", "h:host-gateway"],
            "the address of h: this network has no way to the host",
        ),
    ];
    for (args, want) in rows {
        let said = world.build(&format!("{BUSYBOX}RUN echo never\n"), args);
        assert!(!said.stdout.contains("\nnever\n"), "{args:?}");
        said.fails(125, want);
    }
}
