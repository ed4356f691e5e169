"""Users by an image's own files, whatever those are."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wherry.errors import Invalid
from wherry.linux.users import User, resolve_user

PASSWD = """
# accounts
root:x:0:0:root:/root:/bin/sh
web:x:33:33:web:/var/www:/bin/sh
 spaced:x:40:41::/home/spaced:/bin/sh
homeless:x:50:51:::
short:x:60:61
broken:x:abc:0:::
negative:x:-1:0:::
4242:x:70:71::/home/number:
root:x:0:5:again:/twice:
nonsense
"""
GROUP = """
root:x:0:
wheel:x:10:root,web
web:x:33:
staff:x:50:web
web2:x:33:web
broken:x:abc:web
named:x:99
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", User(0, 0, (0, 10), "/root")),
        ("root", User(0, 0, (0, 10), "/root")),
        ("0", User(0, 0, (0, 10), "/root")),
        ("web", User(33, 33, (33, 10, 50), "/var/www")),
        ("33", User(33, 33, (33, 10, 50), "/var/www")),
        ("web:staff", User(33, 50, (50,), "/var/www")),
        ("web:7", User(33, 7, (7,), "/var/www")),
        ("web:", User(33, 33, (33, 10, 50), "/var/www")),
        (":staff", User(0, 50, (50,), "/root")),
        ("1234", User(1234, 0, (0,), "/")),
        ("1234:5678", User(1234, 5678, (5678,), "/")),
        ("1234:named", User(1234, 99, (99,), "/")),
        ("spaced", User(40, 41, (41,), "/home/spaced")),
        ("homeless", User(50, 51, (51,), "/")),
        ("short", User(60, 61, (61,), "/")),
        ("4242", User(4242, 0, (0,), "/")),
        ("2147483647", User(2147483647, 0, (0,), "/")),
    ],
)
def test_a_user_is_resolved_by_the_images_files(root: Path, text: str, user: User) -> None:
    assert resolve_user(root, text) == user


def test_further_groups_come_after_the_users_own(root: Path) -> None:
    assert resolve_user(root, "web", ["named", "10", "4321"]).groups == (33, 10, 50, 99, 4321)


@pytest.mark.parametrize(
    ("text", "groups", "fault"),
    [
        ("nobody", (), "unable to find user nobody: no matching entries in passwd file"),
        ("broken", (), "unable to find user broken: no matching entries in passwd file"),
        ("negative", (), "unable to find user negative: no matching entries in passwd file"),
        ("web:nogroup", (), "unable to find group nogroup: no matching entries in group file"),
        ("web", ("nogroup",), "unable to find group nogroup: no matching entries in group file"),
        ("2147483648", (), "uids and gids must be in range 0-2147483647"),
        ("-1", (), "uids and gids must be in range 0-2147483647"),
        ("1:-1", (), "uids and gids must be in range 0-2147483647"),
        ("٣", (), "unable to find user"),
        ("9" * 400, (), "unable to find user"),
    ],
)
def test_who_is_not_there_is_refused_in_dockers_words(
    root: Path, text: str, groups: tuple[str, ...], fault: str
) -> None:
    with pytest.raises(Invalid, match=fault):
        resolve_user(root, text, groups)


def test_an_image_without_files_knows_numbers_only(tmp_path: Path) -> None:
    assert resolve_user(tmp_path, "") == User(0, 0, (0,), "/")
    assert resolve_user(tmp_path, "7:8", ["9"]) == User(7, 8, (8, 9), "/")
    with pytest.raises(Invalid, match="unable to find user web"):
        resolve_user(tmp_path, "web")


def test_links_lead_within_the_image(root: Path) -> None:
    (root / "etc/passwd").rename(root / "real")
    (root / "etc/passwd").symlink_to("/real")
    assert resolve_user(root, "web").uid == 33
    (root / "etc/passwd").unlink()
    (root / "etc/passwd").symlink_to("../../../../../../../../../../etc/passwd")
    with pytest.raises(Invalid, match="cannot be read"):  # it is a link to itself
        resolve_user(root, "web")


@pytest.mark.root
def test_what_is_no_file_is_refused_at_once(root: Path) -> None:
    passwd = root / "etc/passwd"
    passwd.unlink()
    os.mkfifo(passwd)
    with pytest.raises(Invalid, match="/etc/passwd of the image is not a regular file"):
        resolve_user(root, "0")
    passwd.unlink()
    os.mknod(passwd, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with pytest.raises(Invalid, match="is not a regular file"):
        resolve_user(root, "0")
    passwd.unlink()
    passwd.mkdir()
    with pytest.raises(Invalid, match="is not a regular file"):
        resolve_user(root, "0")


def test_a_huge_file_is_refused(root: Path) -> None:
    with (root / "etc/passwd").open("ab") as file:
        file.truncate(1 << 30)
    with pytest.raises(Invalid, match="larger than 8 MiB"):
        resolve_user(root, "0")
