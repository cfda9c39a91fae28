"""Tells archipel what happens, as lines of JSON on a file descriptor of its own."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: archipel_events
    type: notification
    short_description: Tell archipel what happens, as lines of JSON
    description:
      - Writes one JSON object a line to the file descriptor that E(ARCHIPEL_EVENTS_FD) names, and does
        nothing without it. What a task with C(no_log) gave is never written.
    requirements:
      - enabled in configuration
"""

HIDDEN = "(hidden: no_log)"
LONGEST = 2000


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "archipel_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.begun = {}
        try:
            self.fd = int(os.environ["ARCHIPEL_EVENTS_FD"])
            os.set_inheritable(self.fd, False)
        except (KeyError, ValueError, OSError):
            self.disabled = True

    def emit(self, event, **fields):
        line = json.dumps({"event": event, **fields}, default=str) + "\n"
        try:
            data = line.encode()
            while data:
                data = data[os.write(self.fd, data):]
        except OSError:
            self.disabled = True  # nobody listens any more; the run goes on

    def v2_playbook_on_start(self, playbook):
        self.emit("start", playbook=os.path.basename(playbook._file_name))

    def v2_playbook_on_play_start(self, play):
        hosts = []
        if manager := play.get_variable_manager():
            hosts = [h.name for h in manager._inventory.get_hosts(play.hosts, order=play.order)]
        self.emit("play", play=play.get_name(), hosts=hosts)

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.emit("task", **place(task))

    def v2_playbook_on_handler_task_start(self, task):
        self.emit("task", **place(task))

    def v2_runner_on_start(self, host, task):
        self.begun[host.name, task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result):
        self.result("changed" if result.result.get("changed") else "ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.result("ok" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result):
        self.result("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self.result("skipped", result)

    def v2_runner_retry(self, result):
        self.result("retry", result, attempt=result.result.get("attempts"), retries=result.result.get("retries"))

    def v2_playbook_on_stats(self, stats):
        self.emit("stats", hosts={h: stats.summarize(h) for h in sorted(stats.processed)})

    def result(self, event, result, **fields):
        host, task = result.host.name, result.task
        begun = self.begun.get((host, task._uuid), time.monotonic())
        self.emit(event, host=host, **place(task), msg=message(task, result.result, event), duration=round(time.monotonic() - begun, 3), **fields)


def place(task):
    role = task._role.get_name() if task._role else ""
    return {"task": task.name or task.action, "role": role, "path": task.get_path() or ""}


def message(task, result, event):
    """What a result says, in one line."""
    if task.no_log or result.get("_ansible_no_log") or "censored" in result:
        return HIDDEN
    text = result.get("msg") or result.get("reason") or ""
    for item in result.get("results") or []:
        if isinstance(item, dict) and item.get("failed") and not item.get("_ansible_no_log"):
            text = item.get("msg") or text
    if event in ("failed", "retry") and result.get("rc"):
        text = (result.get("stderr") or "").strip() or (result.get("stdout") or "").strip() or text
    if isinstance(text, (list, dict)):
        text = json.dumps(text, default=str)
    return " ".join(str(text).split())[:LONGEST]
