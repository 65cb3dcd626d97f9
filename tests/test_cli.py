"""The command line, as a process: what it prints is what scripts rely on."""

import contextlib
import gzip
import json
import re
import sqlite3
import subprocess
import sys

import pytest

from retag.cli import COMMANDS
from retag.web import tagfile


def run(folder, *arguments, status=0, stdin=None):
    """Standard output of one command on the folder's database."""
    command = [sys.executable, "-m", "retag", *arguments]
    if arguments[0] not in ("settings", "--help"):
        command += ["--database", f"sqlite:///{folder / 'retag.db'}"]
    found = subprocess.run(command, capture_output=True, text=True, input=stdin, cwd=folder, check=False)
    assert found.returncode == status, found.stderr
    return found.stdout if status == 0 else found.stderr


@pytest.fixture
def made(tmp_path):
    return json.loads(run(tmp_path, "init", "--json"))


def test_init_keeps_its_ids_and_makes_a_new_key_each_time(tmp_path, made):
    """As the contract has it."""
    again = json.loads(run(tmp_path, "init", "--json"))
    assert again.keys() == {"ad_account_id", "tag_id", "api_key"}
    assert (again["ad_account_id"], again["tag_id"]) == (made["ad_account_id"], made["tag_id"])
    assert again["api_key"] != made["api_key"]
    assert (len(made["ad_account_id"]), len(made["tag_id"]), made["tag_id"][:2]) == (12, 13, "26")


def test_keys_are_made_listed_and_revoked_and_never_shown_again(tmp_path, made):
    """The list knows the prefix alone."""
    key = run(tmp_path, "keys", "create", "--scope", "audiences:read", "--name", "reader").strip()
    prefix = key.split("_")[2]
    listed = run(tmp_path, "keys", "list")
    assert prefix in listed
    assert key not in listed
    run(tmp_path, "keys", "revoke", prefix)
    assert "revoked" in next(x for x in run(tmp_path, "keys", "list").splitlines() if x.startswith(prefix))
    assert "No key" in run(tmp_path, "keys", "revoke", prefix, status=2)


def test_who_holds_a_leaked_key_may_revoke_it_by_the_whole(tmp_path, made):
    """And it is not told again."""
    scopes = ["--scope", "events:write", "--scope", "events:write"]
    key = run(tmp_path, "keys", "create", *scopes).strip()
    assert "  in use  events:write  events:write" in run(tmp_path, "keys", "list")
    prefix = key.split("_")[2]
    assert run(tmp_path, "keys", "revoke", key) == f"{prefix} is revoked\n"
    assert f"{prefix} " in next(one for one in run(tmp_path, "keys", "list").splitlines() if "revoked" in one)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(tmp_path, command):
    """`--help` explains, and fits the terminal."""
    found = subprocess.run(
        [sys.executable, "-m", "retag", command, "--help"], capture_output=True, text=True, check=True
    )
    assert COMMANDS[command].ABOUT.splitlines()[0][:30] in found.stdout


@pytest.mark.parametrize("action", ["keys create", "keys revoke", "keys list", "lists load", "lists show"])
def test_every_action_teaches_too(action):
    """What it is, and for those that take something an example."""
    found = subprocess.run(
        [sys.executable, "-m", "retag", *action.split(), "--help"], capture_output=True, text=True, check=True
    ).stdout
    about = found.split("options:")[0]
    assert len(about.split("\n\n")) > 2
    assert action.endswith(("list", "show")) or f"    retag {action} " in about


def test_without_a_database_the_remedy_is_named(tmp_path):
    """One line, exit code 2."""
    assert "retag init" in run(tmp_path, "keys", "list", status=2)


def test_import_twice_is_import_once_and_bad_lines_are_explained(tmp_path, made):
    """The good lines go in; the others stay in a file with their reasons."""
    lines = [
        '{"time": 1795000000, "visitor": "v1", "event": "add_to_cart", "value": "12.50"}',
        '{"time": "2026-11-01T10:00:00Z", "em": "ann@mail.example", "event": "checkout", "order_id": "1"}',
        '{"time": "yesterday", "visitor": "v1"}',
        '{"time": 1795000000, "event": "lead"}',
        "not json",
    ]
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(lines))
    assert "2 events taken, 3 lines rejected" in run(tmp_path, "import", str(file))
    rejects = (tmp_path / "events.ndjson.rejects").read_text()
    reasons = [json.loads(line)["reason"] for line in rejects.splitlines()]
    assert [reason.split(":")[0] for reason in reasons] == ["time", "visitor", "line"]
    assert json.loads(rejects.splitlines()[-1])["line"] == "not json"
    assert "0 events taken, 0 lines rejected (imported before)" in run(tmp_path, "import", str(file))
    assert (tmp_path / "events.ndjson.rejects").read_text() == rejects
    copy = tmp_path / "copy.ndjson"
    copy.write_text("\n" + file.read_text())
    run(tmp_path, "import", str(copy))
    run(tmp_path, "doctor")


def test_doctor_recommends_to_wait_for_consent_where_the_law_asks_for_it(tmp_path, made):
    """New tags do not wait, as the original's."""
    assert "PATCH its `consent` to `required`" in run(tmp_path, "doctor")


def test_csv_columns_are_renamed_and_times_shifted(tmp_path, made):
    """The last event is now, the others keep their distance."""
    file = tmp_path / "orders.csv"
    file.write_text("When,Who,Sum\n2011-01-01 10:00,17850,3.5\n2011-01-02 10:00,17851,4\n")
    maps = ["--map", "When=time", "--map", "Who=external_id", "--map", "Sum=value"]
    assert "2 events taken, 0 lines" in run(tmp_path, "import", str(file), *maps, "--shift")
    assert not (tmp_path / "orders.csv.rejects").exists()


def test_import_tells_what_retention_will_delete(tmp_path, made):
    """Events of another decade are taken, and would be gone tomorrow without a word."""
    file = tmp_path / "old.csv"
    file.write_text("time,visitor\n2010-12-01 08:26,1\n2010-12-02 08:26,2\n")
    told = run(tmp_path, "import", str(file))
    assert "2 of them are older than the 540 days" in told
    assert "--shift" in told
    run(tmp_path, "init")
    file.write_text(file.read_text() + "\n")
    assert "older" not in run(tmp_path, "import", str(file), "--shift")


def test_csv_fields_may_have_several_lines(tmp_path, made):
    """Notes do. A quote that is never closed costs its own line, and a stray one nothing."""
    file = tmp_path / "notes.csv"
    head, last = "time,external_id,note\n", '2011-01-06,6,"last, ""quoted"" one\nwith two lines"\n'
    rows = ['2011-01-01,1,"two\r\nlines"\r\n', '2011-01-02,2,15" case\n', '2011-01-03,3,"never closed\n']
    file.write_bytes((head + "".join(rows) + "2011-01-04,4,plain\n" * 120 + last).encode())
    assert "123 events taken, 1 lines rejected" in run(tmp_path, "import", str(file))
    rejects = [json.loads(line) for line in (tmp_path / "notes.csv.rejects").read_text().splitlines()]
    assert [(one["line"], one["reason"]) for one in rejects] == [
        ('2011-01-03,3,"never closed', "line: cannot be read: unexpected end of data")
    ]
    assert "(imported before)" in run(tmp_path, "import", str(file))


def test_lists_are_loaded_from_standard_input(tmp_path, made):
    """Counts are printed."""
    found = run(tmp_path, "lists", "load", "-", "--name", "Leads", stdin="email\na@mail.example\nnonsense\n")
    assert "1 valid, 1 invalid" in found
    assert "Leads" in run(tmp_path, "lists", "show")


def test_export_of_nothing_is_named(tmp_path, made):
    """And one of an unknown audience too."""
    assert "no audience" in run(tmp_path, "export", "2542000000009", status=2)
    assert run(tmp_path, "audiences") == ""


def test_settings_are_all_shown(tmp_path):
    """Each variable, its value, and what it does."""
    assert "RETAG_DATABASE" in run(tmp_path, "settings")


def test_snippet_names_the_served_file_by_its_integrity(tmp_path, made):
    """What is printed is what a server of this database serves."""
    plain = run(tmp_path, "snippet", "--address", "https://shop.example/retag/")
    assert '"https://shop.example/retag/tag.js"' in plain
    assert made["tag_id"] in plain
    found = run(tmp_path, "snippet", "--integrity", "--address", "https://shop.example")
    name, integrity = (
        re.search(r"shop\.example(/t/\w+\.js)", found)[1],
        re.search(r'integrity="(.+?)"', found)[1],
    )
    with contextlib.closing(sqlite3.connect(tmp_path / "retag.db")) as cn:
        (kept,) = cn.execute("SELECT plain FROM tag_file").fetchall()
    version = tagfile.Version.of(kept[0])
    assert (version.path(), version.integrity) == (name, integrity)
    assert "There is no tag" in run(tmp_path, "snippet", "2699999999999", status=2)


def test_an_import_that_was_killed_goes_on_where_it_was(tmp_path, made):
    """Every line counts once, and no reason for a rejection is lost."""
    file = tmp_path / "events.ndjson"
    with file.open("w") as lines:
        for n in range(40_000):
            lines.write(json.dumps({"time": 1795000000 + n, "visitor": str(n % 500), "value": n}) + "\n")
            if n % 1000 == 0:
                lines.write(f"bad {n}\n")
    command = [sys.executable, "-m", "retag", "import", str(file), "--database"]
    process = subprocess.Popen([*command, f"sqlite:///{tmp_path / 'retag.db'}"], stderr=subprocess.DEVNULL)
    with contextlib.closing(sqlite3.connect(tmp_path / "retag.db")) as cn:
        while not cn.execute("SELECT 1 FROM progress WHERE name LIKE 'import %'").fetchall():
            assert process.poll() is None
    process.kill()
    process.wait()
    assert "events taken" in run(tmp_path, "import", str(file))
    with contextlib.closing(sqlite3.connect(tmp_path / "retag.db")) as cn:
        (counted,) = cn.execute("SELECT count(*) FROM log WHERE standing = 0").fetchone()
    assert counted == 40_000
    rejects = (tmp_path / "events.ndjson.rejects").read_text().splitlines()
    rejected = {json.loads(line)["line"] for line in rejects}
    assert rejected == {f"bad {n}" for n in range(0, 40_000, 1000)}


def test_files_that_begin_alike_are_two_files(tmp_path, made):
    """The same size and the same first lines are not the same events."""
    head = "".join(f'{{"time": 1795000000, "visitor": "v{n:06}"}}\n' for n in range(3000))
    for name, last in (("a", "x"), ("b", "y")):
        (tmp_path / f"{name}.ndjson").write_text(f'{head}{{"time": 1795000000, "visitor": "{last}"}}\n')
    assert "3,001 events taken" in run(tmp_path, "import", str(tmp_path / "a.ndjson"))
    assert "3,001 events taken" in run(tmp_path, "import", str(tmp_path / "b.ndjson"))


STRANGE = {
    "gzip.ndjson": (gzip.compress(b"{}"), "gunzip"),
    "utf16.csv": ("time,visitor\n".encode("utf-16"), "save it as UTF-8"),
    "cr.csv": (b"time,visitor\r1795000000,a\r", "CR alone"),
    "no-time.csv": (b"When,visitor\n1795000000,a\n", "'When', 'visitor'. --map THEIRS=time"),
    "semicolons.csv": (b"time;visitor\n1795000000;a\n", "which commas separate, are: 'time;visitor'"),
    "nobody.csv": (b"time,value\n1795000000,1\n", "--map THEIRS=visitor"),
    "wide.csv": (b"time,visitor," + b"x" * 200_000, "cannot be read: field larger"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_file_without_a_single_event_is_refused_with_the_remedy(tmp_path, made, name):
    """Not line by line: nothing goes in, of the files beside it neither."""
    content, words = STRANGE[name]
    (tmp_path / name).write_bytes(content)
    (tmp_path / "good.csv").write_text("time,visitor\n1795000000,a\n")
    line = run(tmp_path, "import", "good.csv", name, status=2)
    assert line.startswith(f"retag: {name}: ")
    assert line.count("\n") == 1
    assert words in line
    assert not (tmp_path / f"{name}.rejects").exists()
    assert "1 events taken" in run(tmp_path, "import", "good.csv")


def test_a_pipe_is_told_to_be_a_file(tmp_path, made):
    """An import that could not go on where it stopped does not begin."""
    assert "save it to a file" in run(tmp_path, "import", "/dev/stdin", status=2, stdin="{}\n")


def test_a_byte_order_mark_costs_no_event(tmp_path, made):
    """Windows writes one, in NDJSON too."""
    (tmp_path / "a.ndjson").write_text('{"time": 1795000000, "visitor": "a"}\n', "utf-8-sig")
    (tmp_path / "b.csv").write_text("time,visitor\r\n1795000000,a\r\n", "utf-8-sig")
    found = run(tmp_path, "import", "a.ndjson", "b.csv")
    assert found.count("1 events taken, 0 lines rejected") == 2


def test_a_comma_too_many_or_a_quote_too_few_moves_nothing_to_another_column(tmp_path, made):
    """Such a line is rejected, those behind it are read for themselves; empty fields at its end are fine."""
    lines = [
        "1795000000,a,Pillow, set of 2,48",
        "1795000000,b,Hat,25,,",
        '1795000000,c,"never closed',
        "1795000000,d,ok",
        '1795000000,e,12" pipe',
        "1795000000,f",
    ]
    (tmp_path / "goods.csv").write_text("\n".join(["time,visitor,product_name,value", *lines]))
    assert "4 events taken, 2 lines rejected" in run(tmp_path, "import", "goods.csv")
    rejects = [json.loads(line) for line in (tmp_path / "goods.csv.rejects").read_text().splitlines()]
    assert [one["line"] for one in rejects] == [lines[0], lines[2]]
    assert "it has 5 fields, and the first line 4" in rejects[0]["reason"]


def test_a_line_without_an_end_is_rejected_by_its_beginning(tmp_path, made):
    """A file that is one array of everything does not have to fit into memory; the next line is read."""
    good = b'{"time": 1795000000, "visitor": "a"}\n'
    (tmp_path / "long.ndjson").write_bytes(good + b"[" + b" " * 5_000_000 + b"]\n" + good.replace(b"a", b"b"))
    assert "2 events taken, 1 lines rejected" in run(tmp_path, "import", "long.ndjson")
    (line,) = (tmp_path / "long.ndjson.rejects").read_text().splitlines()
    assert len(line) < 1000
    assert "longer than 1 MiB" in line


def test_an_import_killed_among_bad_lines_rejects_each_once(tmp_path, made):
    """It gets on where nothing goes in, and what it wrote behind its mark it does not write twice."""
    (tmp_path / "bad.ndjson").write_text("".join(f"bad {n}\n" for n in range(200_000)))
    command = [sys.executable, "-m", "retag", "import", "bad.ndjson", "--database", "sqlite:///retag.db"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "retag.db")) as cn:
        while not cn.execute("SELECT 1 FROM progress WHERE name LIKE 'import %'").fetchall():
            assert process.poll() is None
    process.kill()
    process.wait()
    with (tmp_path / "bad.ndjson.rejects").open("a") as rejects:
        rejects.write('{"reason": "behind the ma')
    run(tmp_path, "import", "bad.ndjson")
    found = [json.loads(line)["line"] for line in (tmp_path / "bad.ndjson.rejects").read_text().splitlines()]
    assert found == [f"bad {n}" for n in range(200_000)]
