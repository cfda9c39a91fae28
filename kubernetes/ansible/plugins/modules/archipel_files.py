#!/usr/bin/python
"""Lays down all files of a role at once, and runs what must follow a change."""

import contextlib
import json
import os
import re
import shlex
import subprocess
import tempfile

DOCUMENTATION = r"""
module: archipel_files
short_description: Lay down all files of a role at once, and run what must follow a change
description:
  - One call does what a task for each file, its folder, its handler and its clean-up would do.
  - It keeps a record of each set on the host. A file that the set no longer has is removed, and an
    action that was interrupted runs the next time. A set without files leaves nothing behind.
options:
  set:
    description: The name of the set, one for each role.
    type: str
    required: true
  files:
    description:
      - What there must be. With O(files.content) or O(files.secret) a file, with O(files.link) a
        symbolic link, with O(files.directory) a folder.
      - Left out, the files stay as they are, and only the record is looked at.
    type: list
    elements: dict
    suboptions:
      dest: {description: "The path.", type: str, required: true}
      content: {description: "The text of the file.", type: str}
      secret: {description: "The text of a file that is never shown.", type: str}
      link: {description: "Where the link points to.", type: str}
      directory: {description: "Whether it is a folder.", type: bool, default: false}
      block: {description: "Whether the text is a marked block of a file that others own.", type: bool, default: false}
      keep: {description: "Whether the file stays when the set no longer has it.", type: bool, default: false}
      mode: {description: "The mode of a file or folder.", type: str, default: "0644"}
      group: {description: "The group of the file.", type: str, default: root}
      then: {description: "Actions that must follow a change.", type: list, elements: str, default: []}
  actions:
    description:
      - Commands by name, run in this order after all files are there. One that begins with a dash may
        fail. An empty one only stays pending, until O(done) has its name.
    type: dict
    default: {}
  removed:
    description: Actions that must follow when a file of the set was removed.
    type: list
    elements: str
    default: []
  done:
    description: Actions that are pending no longer.
    type: list
    elements: str
    default: []
  mark:
    description: Actions that are pending from now on.
    type: list
    elements: str
    default: []
  probe:
    description: Questions by name; a path that may be there, or with a colon a pattern that a line of it may match.
    type: dict
    default: {}
  unit:
    description: A unit of systemd of which it is said whether it is active.
    type: str
author: archipel
"""

RETURN = r"""
pending: {description: Actions that are yet to be done., type: list, returned: always}
probe: {description: The answers; for a link where it points to., type: dict, returned: always}
active: {description: Whether the unit is active., type: bool, returned: when unit is given}
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

RECORDS = "/var/lib/archipel"
BEGIN = "# BEGIN archipel\n"
END = "# END archipel\n"


class Set:
    """The files of one role on this host."""

    def __init__(self, module):
        self.module = module
        self.check = module.check_mode
        self.record = os.path.join(RECORDS, module.params["set"] + ".json")
        self.changed = []
        self.diffs = []
        try:
            with open(self.record, encoding="utf-8") as f:
                self.old = json.load(f)
        except (FileNotFoundError, ValueError):
            self.old = {"files": {}, "folders": [], "pending": []}
        self.pending = list(self.old["pending"])

    def save(self, files, folders):
        """Write the record; a set that holds nothing has none."""
        new = {"files": files, "folders": folders, "pending": list(self.pending)}
        if self.check or new == self.old:
            return
        self.old = new
        if files or self.pending:
            os.makedirs(RECORDS, mode=0o700, exist_ok=True)
            self.write(self.record, json.dumps(new), 0o600, 0)
        elif os.path.exists(self.record):
            os.unlink(self.record)
            self.prune([RECORDS])

    def due(self, names):
        for name in names:
            if name not in self.pending:
                self.pending.append(name)

    def write(self, path, text, mode, gid):
        """Replace a file in one step; one that is mounted is written in place."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".archipel-")
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as f:
                os.fchmod(fd, mode)
                os.fchown(fd, 0, gid)
                f.write(text)
                f.flush()
                os.fsync(fd)
            try:
                os.rename(temporary, path)
                return
            except OSError:
                if not os.path.ismount(path):
                    raise
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)

    def plan(self, want):
        """Return the change that one file needs, or None."""
        path, mode = want["dest"], int(want["mode"], 8)
        there = os.path.lexists(path)
        if want["link"] is not None:
            now = os.readlink(path) if os.path.islink(path) else None
            if now == want["link"]:
                return None
            return lambda: self.link(path, want["link"]), now or "", want["link"] + "\n"
        gid = self.group(want["group"])
        stat = os.stat(path) if there and not os.path.islink(path) else None
        same = stat and stat.st_mode & 0o7777 == mode and stat.st_uid == 0 and stat.st_gid == gid
        if want["directory"]:
            if same and os.path.isdir(path):
                return None
            return lambda: self.folder(path, mode, gid), "", ""
        text = want["secret"] if want["secret"] is not None else want["content"] or ""
        now = None
        if stat:
            with open(path, encoding="utf-8", errors="replace") as f:
                now = f.read()
        if want["block"]:
            if stat:
                mode, gid, same = stat.st_mode & 0o7777, stat.st_gid, True
            text = with_block(now or "", text)
        if now == text and (same or os.path.ismount(path)):
            return None
        before, after = (now or "", text) if want["secret"] is None else ("", "(not shown)\n")
        return lambda: self.write(path, text, mode, gid), before, after

    def group(self, name):
        if name == "root":
            return 0
        import grp  # only the link's files have another group

        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return 0

    def link(self, path, target):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = path + ".archipel"
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(target, temporary)
        os.rename(temporary, path)

    def folder(self, path, mode, gid):
        os.makedirs(path, exist_ok=True)
        os.chown(path, 0, gid)
        os.chmod(path, mode)

    def apply(self, files):
        """Bring all files about, then run what is pending."""
        record = {f["dest"]: "block" if f["block"] else "file" for f in files if not f["directory"] and not f["keep"]}
        gone = {d: k for d, k in self.old["files"].items() if d not in record and os.path.lexists(d)}
        folders = sorted({*self.old["folders"], *missing(files)})
        todo = []
        for want in files:
            if change := self.plan(want):
                todo.append((want["dest"], *change))
                self.due(want["then"])
        if gone:
            self.due(self.module.params["removed"])
        # Recorded first: whoever is interrupted finds here what is left to do.
        self.save({**gone, **record}, folders)
        for dest, do, before, after in todo:
            self.note(dest, before, after)
            if not self.check:
                do()
        for dest in sorted(gone):
            self.remove(dest, gone[dest])
        self.run()
        used = [f["dest"] + "/" for f in files]
        idle = [d for d in folders if not any(u.startswith(d + "/") for u in used)]
        self.prune(idle)
        self.save(record, [d for d in folders if d not in idle])

    def note(self, dest, before, after):
        self.changed.append(dest)
        self.diffs.append({"before_header": dest, "after_header": dest, "before": before, "after": after})

    def remove(self, dest, kind):
        if kind == "file":
            self.note(dest, "(removed)\n", "")
            if not self.check:
                os.unlink(dest)
            return
        with open(dest, encoding="utf-8", errors="replace") as f:
            now = f.read()
        text = with_block(now, None)
        if text != now:
            self.note(dest, now, text)
            if not self.check:
                stat = os.stat(dest)
                self.write(dest, text, stat.st_mode & 0o7777, stat.st_gid)

    def prune(self, folders):
        """Remove the folders that hold nothing, the innermost first."""
        for folder in sorted(folders, reverse=True):
            if not self.check:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def run(self):
        known = self.module.params["actions"]
        for name in [n for n in known if n in self.pending and known[n]]:
            if self.check:
                continue
            command = known[name]
            may_fail = command.startswith("-")
            argv = shlex.split(command.removeprefix("-"))
            try:
                done = subprocess.run(argv, capture_output=True, text=True, check=False)
                failed, why = done.returncode != 0, (done.stderr or done.stdout).strip()
            except OSError as e:
                failed, why = True, str(e)
            if failed and not may_fail:
                self.module.fail_json(msg=f"{shlex.join(argv)}: {why or 'failed'}", changed=bool(self.changed))
            self.pending.remove(name)
            self.changed.append(name)
        # An action that the role no longer knows would stay pending forever.
        self.pending = [n for n in self.pending if n in known]


def with_block(text, block):
    """Return text with the marked block replaced, or without it for None."""
    begin, end = text.find(BEGIN), text.find(END)
    marked = "" if block is None else BEGIN + block + END
    if begin >= 0 and end > begin:
        return text[:begin] + marked + text[end + len(END):]
    if marked and text and not text.endswith("\n"):
        text += "\n"
    return text + marked


def missing(files):
    """Return the folders that must be made for files."""
    made = set()
    for f in files:
        path = f["dest"] if f["directory"] else os.path.dirname(f["dest"])
        while not os.path.isdir(path):
            made.add(path)
            path = os.path.dirname(path)
    return made


def answer(question):
    """Say whether a path is there or a line of it matches; for a link where it points to."""
    path, _, pattern = question.partition(":")
    if pattern:
        try:
            with open(path, encoding="utf-8", errors="replace") as f:
                return re.search(pattern, f.read(), re.MULTILINE) is not None
        except OSError:
            return False
    if os.path.islink(path):
        return os.readlink(path)
    return os.path.exists(path)


def main():
    module = AnsibleModule(
        argument_spec={
            "set": {"type": "str", "required": True},
            "files": {
                "type": "list", "elements": "dict",
                "options": {
                    "dest": {"type": "str", "required": True},
                    "content": {"type": "str"},
                    "secret": {"type": "str", "no_log": True},
                    "link": {"type": "str"},
                    "directory": {"type": "bool", "default": False},
                    "block": {"type": "bool", "default": False},
                    "keep": {"type": "bool", "default": False},
                    "mode": {"type": "str", "default": "0644"},
                    "group": {"type": "str", "default": "root"},
                    "then": {"type": "list", "elements": "str", "default": []},
                },
            },
            "actions": {"type": "dict", "default": {}},
            "removed": {"type": "list", "elements": "str", "default": []},
            "done": {"type": "list", "elements": "str", "default": []},
            "mark": {"type": "list", "elements": "str", "default": []},
            "probe": {"type": "dict", "default": {}},
            "unit": {"type": "str"},
        },
        supports_check_mode=True,
    )
    p = module.params
    files = Set(module)
    before = list(files.pending)
    files.pending = [n for n in files.pending if n not in p["done"]]
    files.due(p["mark"])
    if p["files"] is None:
        files.save(files.old["files"], files.old["folders"])
    else:
        files.apply(p["files"])
    result = {
        "changed": bool(files.changed) or p["files"] is None and files.pending != before, "files": files.changed, "pending": files.pending,
        "probe": {name: answer(q) for name, q in p["probe"].items()},
        "msg": ", ".join(files.changed),
    }
    if module._diff:
        result["diff"] = files.diffs
    if p["unit"]:
        done = subprocess.run(["systemctl", "is-active", "--quiet", p["unit"]], check=False)
        result["active"] = done.returncode == 0
    module.exit_json(**result)


if __name__ == "__main__":
    main()
