"""postconf: input files, a command line, and what comes out, word for word what Postfix 3.11 writes."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from posthouse.commands import postconf
from posthouse.config.settings import Settings
from posthouse.daemons.bounce.service import notice_texts
from posthouse.ipc.bounce import FAILED
from tests.support.peers import find_peer, peer_environment

LEVEL = "compatibility_level = 3.11\n"
STOCK = """\
smtp      inet  n       -       y       -       -       smtpd
# a comment
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
# another
postlog   unix-dgram n  -       n       -       1       postlogd
uucp      unix  -       n       n       -       -       pipe
  flags=Fqhu user=uucp argv=uux -r -n -z -a$sender - $nexthop!rmail ($recipient) { a b }
"""


class Result(NamedTuple):
    """What a run gave."""

    status: int
    out: str
    messages: list[str]


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in a directory with main.cf and master.cf."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAIL_CONFIG", raising=False)

    def go(*argv: str, main: str | None = None, master: str | None = None) -> Result:
        for name, text in (("main.cf", main), ("master.cf", master)):
            if text is not None:
                (tmp_path / name).write_text(text)
        capsys.readouterr()
        status = postconf.main(["-c", ".", *argv])
        out, err = capsys.readouterr()
        messages = [line.removeprefix("postconf: ") for line in err.splitlines()]
        return Result(status, out, messages)

    return go


def test_settings_of_main_cf_are_listed_by_name(run: Run) -> None:
    """-n: white space is one blank, unused names are left out and told."""
    main = (
        LEVEL + "mydestination = $mine,\n  localhost\nmine = a\nbar = $foo\nfoo=x\nrelayhost =\nvirtual_maps = lmdb:x\n"
    )
    result = run("-n", main=main, master="")
    assert result.out == (
        "compatibility_level = 3.11\nconfig_directory = .\nfoo = x\nmine = a\nmydestination = $mine, localhost\n"
        "relayhost =\nvirtual_maps = lmdb:x\n"
    )
    assert result.messages == [
        "warning: ./main.cf: unused parameter: bar=$foo",
        (
            'warning: ./main.cf: support for parameter "virtual_maps" will be removed; '
            'instead, specify "virtual_alias_maps"'
        ),
        "warning: See https://www.postfix.org/DEPRECATION_README.html for details",
    ]
    assert run("-qn").messages == []


@pytest.mark.parametrize(
    ("options", "out"),
    [
        (("-h", "relayhost", "mydestination"), "\n$mine\n"),
        (("-H", "relayhost", "mydestination"), "relayhost\nmydestination\n"),
        (
            ("-x", "mydestination", "process_name", "service_name"),
            "mydestination = a b\nprocess_name = postconf\nservice_name =\n",
        ),
        (("-xo", "mine=c", "mydestination"), "mydestination = c\n"),
        (
            ("-d", "mydestination", "config_directory"),
            "mydestination = $myhostname, localhost.$mydomain, localhost\nconfig_directory = /etc/postfix\n",
        ),
        (("-dx", "relay_transport"), "relay_transport = relay\n"),
        (("-j", "mydestination"), '{"mydestination": "$mine"}\n'),
        (("--json", "mydestination"), '{"mydestination": "$mine"}\n'),
        (("-C", "user"), "mine = a b\n"),
        (("-nC", "builtin,user", "mine"), "mine = a b\n"),
        (
            ("-nC", "all"),
            "compatibility_level = 3.11\nconfig_directory = .\nmine = a b\nmydestination = $mine\nrelayhost =\n",
        ),
    ],
)
def test_forms_of_output(run: Run, options: tuple[str, ...], out: str) -> None:
    """Names, values, expansion, defaults, JSON, classes."""
    main = LEVEL + "mydestination = $mine\nmine = a b\nrelayhost =\n"
    assert run(*options, main=main, master="") == Result(0, out, [])


def test_services_have_parameters(run: Run) -> None:
    """Listed with their defaults."""
    out = run("-C", "service", main=LEVEL, master=STOCK).out
    assert "uucp_time_limit = $command_time_limit\n" in out
    assert "relay_recipient_limit = $default_recipient_limit\n" in out
    assert "relay_destination_recipient_limit = $default_destination_recipient_limit\n" in out
    assert out.count("\n") == 33
    assert "_destination_recipient_limit" not in run("-C", "builtin", "-H", main=LEVEL, master=STOCK).out.replace(
        "default_destination_recipient_limit\n", ""
    ).replace("local_destination_recipient_limit\n", "")


@pytest.mark.parametrize(
    ("options", "argument"), [("-F", "no/inet/chroot=n"), ("-P", "no/inet/a=b"), ("-PX", "no/inet/a")]
)
def test_an_edit_of_an_entry_that_is_not_there_changes_nothing(run: Run, options: str, argument: str) -> None:
    """It is told; status 0, as in Postfix."""
    result = run(options, argument, main=LEVEL, master=STOCK)
    assert result == Result(0, "", [f'warning: unmatched service_name/type: "{argument}"'])
    assert Path("master.cf").read_text() == STOCK


def test_texts_of_notices(run: Run) -> None:
    """-t with names, -b with what they stand for; both are what bounce(8) writes."""
    main = LEVEL + "myhostname = mx.example.test\ndelay_warning_time = 4h\nmaximal_queue_lifetime = 3d\n"
    templates = run("-t", main=main, master="")
    assert templates.status == 0
    blocks = templates.out.split("EOF\n\n")
    names = ["failure", "delay", "success", "verify"]
    assert [block.partition(" =")[0] for block in blocks] == [f"{name}_template" for name in names]
    assert all("\nSubject: " in block and "$myhostname" in block for block in blocks)
    expected = templates.out.replace("$myhostname", "mx.example.test")
    expected = expected.replace("$delay_warning_time_hours", "4").replace("$maximal_queue_lifetime_days", "3")
    assert "$" not in expected
    texts = re.sub(r"(\w+)_template = <<EOF\n(?:.+\n)+\n", r"expanded_\1_text = <<EOF\n", expected)
    assert run("-b") == Result(0, texts, [])
    settings = Settings.from_mapping({"myhostname": "mx.example.test", "delay_warning_time": "4h"})
    assert "\n".join(notice_texts(settings)[FAILED].lines) in expected


OWN_TEMPLATES = """\
# a comment

failure_template = <<END
charset: utf-8
Subject: No way
From: Bob <bob>

Host $myhostname costs $$5
  lead
END
delay_template = <<EOF
Subject: late

$delay_warning_time_hours h $delay_warning_time_minutes min ${maximal_queue_lifetime_days} d
EOF
success_template = <<EOF

# only text
EOF
verify_template = <<EOF
From: postmaster

$myhostname
EOF
"""


@pytest.mark.parametrize("option", ["-b", "-t"])
@pytest.mark.parametrize(
    "text",
    [
        OWN_TEMPLATES,
        OWN_TEMPLATES.replace("$myhostname", "$no_such_name"),
        OWN_TEMPLATES.replace("${maximal_queue_lifetime_days}", "$maximal_queue_lifetime_weeks"),
        OWN_TEMPLATES.replace("Subject: late", "Other: late"),
        OWN_TEMPLATES.replace("From: postmaster", "Postmaster-Subject: none"),
        "other_template = <<EOF\nSubject: x\n\ny\nEOF\n" + OWN_TEMPLATES,
    ],
)
def test_templates_of_a_file_are_shown_as_debian_s_postconf_does(run: Run, option: str, text: str) -> None:
    """Fields and texts, and what a file leaves out; a name that means nothing is fatal for -b alone."""
    Path("own.cf").write_text(text)
    main = LEVEL + "myhostname = mx.example.test\ndelay_warning_time = 4h\n"
    ours = run(option, "own.cf", main=main, master="")
    if not (peer := find_peer("postconf")):
        pytest.skip("postconf is not here: make peers")
    theirs = subprocess.run(
        [peer, "-c", ".", option, "own.cf"], env=peer_environment(), capture_output=True, text=True, check=False
    )
    assert (ours.status, bool(ours.messages)) == (theirs.returncode, bool(theirs.stderr))
    if ours.status == 0:
        pairs = list(zip(ours.out.split("EOF\n\n"), theirs.stdout.split("EOF\n\n"), strict=True))
        assert len(pairs) == 4
        assert sum(mine == other for mine, other in pairs) >= 4 - ("Other:" in text or ": none" in text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("failure_template = <<EOF\nSubject: x\n", 'own.cf, line 1: missing "EOF" end marker'),
        (OWN_TEMPLATES + "garbage\n", 'own.cf, line 25: expected NAME_template = <<EOF, found "garbage"'),
    ],
)
def test_templates_that_cannot_be_used_are_explained(run: Run, text: str, says: str) -> None:
    """With the line."""
    Path("own.cf").write_text(text)
    result = run("-t", "own.cf", main=LEVEL, master="")
    assert result.status == 1
    assert says in result.messages[-1]
    assert "No such file" in run("-t", "none.cf").messages[-1]


def test_raw_values_are_not_expanded(run: Run) -> None:
    """-x leaves what a daemon expands at use, with names of its own."""
    assert run("-x", "forward_path", "postscreen_expansion_filter", main=LEVEL, master="").out == (
        "forward_path = $home/.forward${recipient_delimiter}${extension}, $home/.forward\n"
        + run("-d", "postscreen_expansion_filter").out
    )
    assert run("-x").status == 0


def test_other_white_space_is_shown_as_it_is(run: Run) -> None:
    """Only blanks, tabs and line ends separate words."""
    main = LEVEL + "mail_name = a\u00a0 b\x0b\x0cc\t\u3000d\n"
    assert run("-h", "mail_name", main=main, master="").out == "a\u00a0 b\x0b\x0cc \u3000d\n"


def test_old_names_are_the_user_s(run: Run) -> None:
    """They are not listed among the built-in ones."""
    main = LEVEL + "virtual_maps = hash:x\n"
    assert run("-qC", "user", main=main, master="").out == "virtual_maps = hash:x\n"
    assert "virtual_maps" not in run("-qC", "builtin", "-H").out.split()


def test_a_table_that_is_not_there_is_told(run: Run) -> None:
    """With the reason; one that may not be read here is not."""
    main = LEVEL + "here = ldap:.\nvirtual_alias_maps = $here/none.cf\n"
    assert run("-n", main=main, master="").messages == [
        'warning: open "ldap" configuration "./none.cf": No such file or directory'
    ]


def test_defaults_are_complete(run: Run) -> None:
    """-d knows every name."""
    assert run("-d", main=LEVEL, master="").out.count("\n") > 900
    assert run(main=LEVEL, master=STOCK).out.count("\n") > 930


def test_long_values_are_folded(run: Run) -> None:
    """At 80 columns."""
    main = LEVEL + "forward_path = " + " ".join(["x" * 13] * 6) + "\n"
    assert run("-nf", "forward_path", main=main, master="").out == (
        "forward_path = " + " ".join(["x" * 13] * 4) + "\n    " + " ".join(["x" * 13] * 2) + "\n"
    )


def test_names_that_do_not_exist_are_told(run: Run) -> None:
    """And the others are shown."""
    assert run("nosuch", "relayhost", main=LEVEL, master="") == Result(
        0, "relayhost =\n", ["warning: nosuch: unknown parameter"]
    )


def test_odd_files_are_told(run: Run) -> None:
    """Stray lines, double settings, read-only names, undefined names, no master.cf."""
    main = " x = y\n" + LEVEL + "biff=no\nbiff=yes\nprocess_id=1\nmydestination=$nobody pipemap:{a}b ldap:./t.cf\n"
    Path("t.cf").write_text("junk = 1\ndomain = x\n")
    result = run("-n", "biff", main=main)
    assert result.messages == [
        "warning: open ./master.cf: No such file or directory",
        'warning: ./main.cf: logical line must not start with whitespace: " x = y"',
        "warning: ./main.cf, line 4: overriding earlier entry: biff=no",
        "warning: ./main.cf: read-only parameter assignment: process_id=1",
        "warning: ./main.cf: syntax error after '}' in \"{a}b\"",
        "warning: ./main.cf: undefined parameter: nobody",
        "warning: ldap:./t.cf: unused parameter: junk=1",
    ]
    Path("t.cf").write_text("junk\n")
    assert run("-n", "biff").messages[-1] == "warning: ./t.cf:1: missing '=' after attribute name: \"junk\""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-Z",), postconf.USAGE),
        (("-E",), postconf.USAGE),
        (("-n", "-d"), "specify one of -d -n"),
        (("-h", "-H"), "specify one of -h -H"),
        (("-x", "foo=2"), "specify one of -e -x"),
        (("-f", "-X", "foo"), "specify one of -f -X"),
        (("-Mj", "-#", "smtp/inet"), "specify one of -j -#"),
        (("-l", "-n"), "with option -l, do not specify -n"),
        (("-p", "-M"), "specify one of -M -p"),
        (("-X", "foo=2"), "specify one of -e -X"),
        (("-M", "-d"), "with option -M, do not specify -d"),
        (("-M", "-n"), "with option -M, do not specify -n"),
        (("-P", "-#", "a/b/c"), "with option -P, do not specify -#"),
        (("-C", "bogus"), 'unknown -C option value "bogus" in "bogus"'),
        (("-o", "foo"), "invalid parameter override: foo: missing '=' after attribute name"),
        (("-e",), "-e requires name=value argument"),
        (("-e", "ab"), "missing '=' after attribute name: \"ab\""),
        (("-e", "a b=c"), "missing '=' after attribute name: \"a b=c\""),
        (("-e", "a=\nb"), "-e, -X, or -# accepts no multi-line input"),
        (("-e", "#a=b"), "-e, -X, or -# accepts no comment input"),
        (("-X",), "missing service argument"),
        (("-M", "-X"), "missing service argument"),
        (("-M", "a/b/c"), "-M option requires service_name[/type]"),
        (("-MX", "smtp"), "-Me, -MX or -M# requires service_name/type"),
        (("-M", "smtp/inet=a\nb"), "-e, -X, or -# accepts no multi-line input"),
        (("-Me", "smtp/inet"), "missing '=' after attribute name: \"smtp/inet\""),
        (
            ("-M", "smtp/inet=a b"),
            (
                "bad field count: 2 instead of 8; an entry is: service, type, private, unprivileged, chroot, wakeup, "
                "process_limit, program"
            ),
        ),
        (("-F", "smtp/inet/foo"), 'invalid service attribute name: "foo"'),
        (("-F", "smtp/inet/foo=x"), 'invalid service attribute name: "foo"'),
        (("-F", "smtp/inet/chroot=x"), 'invalid chroot field "x" in "smtp inet n - x - - smtpd"'),
        (("-F", "smtp/inet=x"), "-Fe or -FX requires service_name/type/field_name"),
        (("-P", "smtp/inet=x"), "-Pe or -PX requires service_name/type/parameter"),
        (("-T", "x"), "bad -T mode: x"),
        (("-b", "file"), "open file: No such file or directory"),
    ],
)
def test_wrong_command_lines_stop(run: Run, options: tuple[str, ...], message: str) -> None:
    """One fatal line and status 1; nothing is shown or changed."""
    result = run(*options, main=LEVEL, master=STOCK)
    assert (result.status, result.out, result.messages[-1]) == (1, "", f"fatal: {message}".replace("\n", "?"))
    assert Path("main.cf").read_text() == LEVEL
    assert Path("master.cf").read_text() == STOCK


def test_wrong_files_stop(run: Run) -> None:
    """In Postfix's words."""
    assert run("-n", main="abc\n").messages == ["fatal: ./main.cf, line 1: missing '=' after attribute name: \"abc\""]
    removed = run("-n", main=LEVEL + "deleted-test-only=x\n", master="").messages[0]
    assert (
        removed
        == "warning: ./main.cf: support for parameter deleted-test-only has been removed; instead, do not specify"
    )
    message = 'fatal: invalid private field "X" in "bar inet X n n - 0 other"'
    assert run("-M", main=LEVEL, master="bar inet X n n - 0 other\n").messages == [message]
    assert run("-c", "./none", "-n").messages == [
        "fatal: ./none: there is no such directory; name it with -c or MAIL_CONFIG"
    ]
    circle = run("-x", "mine", main="mine = $other\nother = $mine\nmydestination = $mine\n", master="")
    assert circle.status == 1


def test_a_value_that_cannot_be_expanded_stops(run: Run) -> None:
    """With -x only."""
    main = LEVEL + "relayhost = ${x\n"
    assert run("relayhost", main=main, master="").out == "relayhost = ${x\n"
    assert run("-x", "relayhost").messages[-1] == 'fatal: ./main.cf, line 2: truncated macro reference: "${x"'


def test_edits_of_main_cf(run: Run) -> None:
    """-e (implied by =), -X and -#."""
    main = LEVEL + "# about foo\nfoo = a\n  b\nfoo = c\n"
    assert run("--force", "foo = $new   x", "zap=1", main=main, master="").messages == [
        'warning: ./main.cf: multiple entries for "foo"'
    ]
    assert Path("main.cf").read_text() == LEVEL + "# about foo\nfoo = $new   x\nfoo = $new   x\nzap = 1\n"
    assert run("-#", "foo").messages == ['warning: ./main.cf: multiple entries for "foo"']
    assert run("-X", "zap").status == 0
    assert Path("main.cf").read_text() == LEVEL + "# about foo\n#foo = $new   x\n#foo = $new   x\n"


def test_main_cf_is_made_when_it_is_not_there(run: Run) -> None:
    """The first setting makes it."""
    assert run("-e", "compatibility_level=3.11").status == 0
    assert Path("main.cf").read_text() == LEVEL


def test_entries_of_master_cf(run: Run) -> None:
    """-M in columns; the first plain argument never gets braces, as in Postfix."""
    assert run("-M", main=LEVEL, master=STOCK).out == (
        "smtp       inet  n       -       y       -       -       smtpd\n"
        "relay      unix  -       -       y       -       -       smtp -o syslog_name=postfix/$service_name\n"
        "postlog    unix-dgram n  -       n       -       1       postlogd\n"
        "uucp       unix  -       n       n       -       -       pipe flags=Fqhu user=uucp argv=uux "
        "-r -n -z -a$sender - $nexthop!rmail ($recipient) {a b}\n"
    )
    assert run("-Mf", "*/unix").out == (
        "relay      unix  -       -       y       -       -       smtp\n    -o syslog_name=postfix/$service_name\n"
        "uucp       unix  -       n       n       -       -       pipe flags=Fqhu\n"
        "    user=uucp argv=uux -r -n -z -a$sender - $nexthop!rmail ($recipient) {a b}\n"
    )
    assert run("-Mx", "relay").out.endswith("smtp -o syslog_name=postfix/relay\n")
    assert run("-Mj", "relay/unix").out == (
        '{"relay/unix": "relay unix - - y - - smtp -o syslog_name=postfix/$service_name"}\n'
    )
    assert run("-M", "bar/inet", "smtp/inet").messages == ['warning: unmatched request: "bar/inet"']


def test_clusters_and_odd_braces_in_master_cf(run: Run) -> None:
    """Taken apart, one -o a line."""
    master = "foo unix - n n - 0 other\n -voaaa=bbb\n -vo { ccc = $aaa d }\n { a b } { c d } { e f }x\n"
    result = run("-Mf", main=LEVEL, master=master)
    assert result.out == (
        "foo        unix  -       n       n       -       0       other -v\n    -o aaa=bbb\n"
        "    -v\n    -o {ccc=$aaa d}\n"
        "    a b {c d} {e f}\n"
    )
    assert result.messages == [
        "warning: master.cf: syntax error after '}' in \"{ e f }x\"",
        "warning: ./master.cf: unused parameter: ccc=$aaa d",
    ]
    assert run("-Mfx").out.count("{ccc=bbb d}") == 1


def test_fields_and_overrides_of_master_cf(run: Run) -> None:
    """-F and -P, for all or for what is asked."""
    out = run("-F", "relay/unix", main=LEVEL, master=STOCK).out
    assert out.splitlines() == [
        "relay/unix/service = relay",
        "relay/unix/type = unix",
        "relay/unix/private = -",
        "relay/unix/unprivileged = -",
        "relay/unix/chroot = y",
        "relay/unix/wakeup = -",
        "relay/unix/process_limit = -",
        "relay/unix/command = smtp -o syslog_name=postfix/$service_name",
    ]
    assert run("-F", "*/*/chroot", "-h").messages == ['warning: unmatched request: "-h"']
    assert run("-Fh", "relay/unix/chroot").out == "y\n"
    assert run("-P").out == "relay/unix/syslog_name = postfix/$service_name\n"
    assert run("-Px", "*/*/syslog_name").out == "relay/unix/syslog_name = postfix/relay\n"
    assert run("-P", "smtp/inet/syslog_name").messages == ['warning: unmatched request: "smtp/inet/syslog_name"']
    assert run("-PP", "smtp/inet/relayhost").out == "smtp/inet/relayhost =\n"


def test_undefined_names_in_overrides_are_told(run: Run) -> None:
    """At the file that has them."""
    master = "foo unix - n n - 0 smtp -o relayhost=$nobody -o fallback_relay=x\n"
    messages = run("-P", main=LEVEL, master=master).messages
    assert messages[0] == "warning: ./master.cf: undefined parameter: nobody"
    assert messages[1].startswith('warning: ./master.cf: support for parameter "fallback_relay" will be removed')


@pytest.mark.parametrize(
    ("options", "entry"),
    [
        (
            ("-F", "relay/unix/chroot=n"),
            "relay      unix  -       -       n       -       -       smtp\n    -o syslog_name=postfix/$service_name\n",
        ),
        (
            ("-F", "relay/unix/command=lmtp -o a=b"),
            "relay      unix  -       -       y       -       -       lmtp\n    -o a=b\n",
        ),
        (
            ("-P", "relay/unix/syslog_name=x", "relay/unix/a={b c}"),
            "relay      unix  -       -       y       -       -       smtp\n    -o syslog_name=x\n    -o {a={b c}}\n",
        ),
        (("-PX", "relay/unix/syslog_name"), "relay      unix  -       -       y       -       -       smtp\n"),
        (
            ("-M", "relay/unix=r unix - - n - 5 smtp -v"),
            "r          unix  -       -       n       -       5       smtp -v\n",
        ),
        (("-MX", "relay/unix"), ""),
        (
            ("-M#", "relay/unix"),
            (
                "#relay     unix  -       -       y       -       -       smtp\n"
                "#        -o syslog_name=postfix/$service_name\n"
            ),
        ),
    ],
)
def test_edits_of_master_cf(run: Run, options: tuple[str, ...], entry: str) -> None:
    """Only the entry changes, where it stands; every comment stays."""
    old = "relay     unix  -       -       y       -       -       smtp\n        -o syslog_name=postfix/$service_name\n"
    assert run(*options, main=LEVEL, master=STOCK) == Result(0, "", [])
    assert Path("master.cf").read_text() == STOCK.replace(old, entry)


def test_an_edit_keeps_verbosity_and_plain_arguments(run: Run) -> None:
    """Flags before, arguments after the -o settings."""
    run("-P", "x/unix/b=2", main=LEVEL, master="x unix - - - - - pipe -v -o a=1 user=y argv={ p q }\n")
    text = Path("master.cf").read_text()
    assert " ".join(text.split()) == "x unix - - - - - pipe -v -o a=1 -o b=2 user=y {argv={ p q }}"


def test_a_new_entry_goes_to_the_end(run: Run) -> None:
    """Unless one of its name and type is there."""
    run("-M", "new/unix=new unix - - n - - discard { a b", main=LEVEL, master="# empty\n")
    assert (
        Path("master.cf").read_text()
        == "# empty\nnew        unix  -       -       n       -       -       discard {a b}\n"
    )
    run("-M", "other/unix=new unix - - y - - error")
    assert Path("master.cf").read_text() == "# empty\nnew        unix  -       -       y       -       -       error\n"


def test_a_new_entry_takes_the_place_of_all_of_its_name(run: Run) -> None:
    """The first is replaced, the later ones go; comments stay."""
    master = "foo unix - - - - - x\nbar unix - - - - - y\nfoo unix - - - - - z\n# end\n  -o a=b\nfoo fifo - - - - - z\n"
    run("-M", "foo/unix=foo unix n n n 1 1 q", main=LEVEL, master=master)
    assert Path("master.cf").read_text() == (
        "foo        unix  n       n       n       1       1       q\nbar unix - - - - - y\n"
        "# end\nfoo fifo - - - - - z\n"
    )


def test_comments_between_rules_are_told(run: Run) -> None:
    """They would be read as rules; a # in a pattern is a part of it."""
    main = (
        LEVEL + "smtpd_client_restrictions = inline:{\n {a = #b\n } #c\n }, pcre:{\n {/ #d/ ok}\n }, cidr:{\n #e\n }\n"
    )
    assert run("-n", "biff", main=main, master="").messages == [
        "warning: ./main.cf: #comment after other text is not allowed: #b ...",
        "warning: ./main.cf: #comment after other text is not allowed: #c ...",
    ]


def test_an_override_that_is_no_setting_is_told(run: Run) -> None:
    """In braces, where it cannot be a mistyped flag."""
    messages = run("-M", main=LEVEL, master="foo unix - n n - 0 other -o {x}\n").messages
    assert messages == ["warning: master.cf: missing '=' after attribute name: \"x\""]


def test_other_lists(run: Run) -> None:
    """Table types, locks, the TLS library, SASL."""
    assert "lmdb\n" in run("-m").out
    assert run("-l").out == "flock\nfcntl\ndotlock\n"
    assert run("-T", "run-version").out.startswith("OpenSSL")
    assert run("-l", "--json").out == '"flock"\n"fcntl"\n"dotlock"\n'
    assert "rsa\n" in run("-T", "public-key-algorithms").out
    assert run("-a").out == run("-A").out == ""


def test_json_is_json(run: Run) -> None:
    """Each line by itself."""
    for line in run("-j", main=LEVEL, master=STOCK).out.splitlines():
        assert len(json.loads(line)) == 1


def test_directory_from_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MAIL_CONFIG, and sys.argv when nothing is passed."""
    run("-n", main=LEVEL, master="")
    monkeypatch.setenv("MAIL_CONFIG", os.getcwd())
    monkeypatch.setattr(sys, "argv", ["postconf", "-nh"])
    assert postconf.main() == 0
    assert capsys.readouterr().out == f"3.11\n{os.getcwd()}\n"


def test_a_reader_that_goes_away_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """postconf | head is no error worth a traceback."""

    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    kept = os.dup(1)
    monkeypatch.setattr(sys, "stdout", Closed())
    try:
        assert postconf.main(["-l"]) == 1
    finally:
        os.dup2(kept, 1)
        os.close(kept)
