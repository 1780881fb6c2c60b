# SPDX-License-Identifier: Apache-2.0
"""The log of a service that was taken over: whoever reads it at a terminal reads text."""

from conftest import scenario

TITLE, CLEAR, C1 = "\x1b]0;owned\x07", "\x1b[2J", "\x9b31m"


def test_no_control_character_reaches_a_terminal(attacked):
    attacked.attack("write_log", text=f"harmless {TITLE}{CLEAR}{C1}\rforged\nlast of it\n")
    scenario.wait_for("the log has it", lambda: "last of it" in attacked.log("hostile"))
    said = attacked.command("logs", "hostile", "--state", attacked.state).stdout
    assert "last of it" in said
    assert not [one for one in said if one != "\n" and (ord(one) < 32 or 0x7f <= ord(one) < 0xa0)]
