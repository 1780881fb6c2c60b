# SPDX-License-Identifier: Apache-2.0
"""Cases as TAP: functions whose names say what holds, and which return whether it does."""


def run(cases, notes=None):
    """Whether any case failed. What each has put into `notes` is told behind it, and taken out."""
    print(f"1..{len(cases)}", flush=True)
    failed = 0
    for number, case in enumerate(cases, 1):
        held = case()
        failed += not held
        print(f"{'ok' if held else 'not ok'} {number} - {case.__name__}", flush=True)
        for line in "\n".join(notes or ()).splitlines():
            print(f"# {line}", flush=True)
        if notes:
            notes.clear()
    return failed > 0
