#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Deliberate bugs, one case each: the simulation must find it within so many seeds.

Called with the build folder and the source folder. The bugs are the MUTATION()s that the patches of
tests/mutations add to copies of the sources; one that is not named in WITHIN fails, and so does a
name that is no bug any more. Each case says after how many seeds its bug was found. FREEHOLD_ONLY
runs only those whose name holds this text. Those that have not begun by FREEHOLD_UNTIL (tools/test --until)
are skipped.
"""

import json
import os
import pathlib
import random
import re
import resource
import subprocess
import sys
import tempfile

BUILD, ROOT = (pathlib.Path(word) for word in sys.argv[1:3])
sys.path.insert(0, str(ROOT / "tools"))
import build_folder  # noqa: E402
import until  # noqa: E402

ONLY = os.environ.get("FREEHOLD_ONLY", "")

# The system whose simulation must find it, and within how many seeds.
WITHIN = {
    "abandoned_untold": ("tower", 500),
    "absence_not_applied": ("shop", 400),
    "acts_before_commit": ("shop", 100),
    "age_rounded_down": ("score", 60),
    "arrays_left_out": ("shop", 20),
    "backup_end_unsynced": ("deals", 1200),
    "backup_without_log": ("deals", 50),
    "broken_group_unseen": ("tower", 20),
    "chain_moved_by_batches": ("shop --bus", 100),
    "closed_ignored": ("shop", 300),
    "closing_unheard": ("tower", 1200),
    "compensation_reversed": ("tower", 20),
    "cursor_moved_apart": ("tower", 100),
    "cursor_moved_late": ("tower", 100),
    "cursor_unfenced": ("port", 100),
    "cut_is_not_told": ("deals", 100),
    "default_forgotten": ("guests", 20),
    "derived_once": ("score", 20),
    "digest_ignored": ("shop", 20),
    "done_goes_back": ("tower", 1000),
    "doubt_is_not_undone": ("shop", 20),
    "drawn_before_key_lock": ("port", 300),
    "early_reply": ("shop", 20),
    "edit_forgotten": ("tower", 50),
    "events_written_apart": ("shop", 50),
    "failed_event_kept": ("tower", 50),
    "failed_sync_ignored": ("shop", 50),
    "failed_work_kept": ("tower", 100),
    "filter_unfilled": ("shop", 100),
    "first_speaks_for_all": ("keys", 250),
    "folder_left_unsynced": ("shop", 50),
    "forgotten_reads_trusted": ("port", 150),
    "furthest_is_told": ("score", 60),
    "gap_walked": ("shelf", 150),
    "gone_timer_fires": ("clock", 200),
    "holes_ignored": ("shop --bus", 20),
    "incarnation_forgotten": ("shop", 20),
    "joined_row_lost": ("port", 100),
    "kept_events_lost": ("port", 20),
    "key_changes_with_attempts": ("shop", 20),
    "key_not_scoped": ("guests", 20),
    "last_of_key_forgotten": ("shop", 20),
    "late_point_left_out": ("score", 20),
    "late_record_lost": ("shop", 20),
    "log_left_unsynced": ("shop", 1000),
    "lost_call_again": ("keys", 40),
    "lost_commit_again": ("port", 60),
    "lost_commit_done": ("port", 40),
    "lost_is_not_asked_again": ("deals", 300),
    "lost_is_not_reported": ("deals", 100),
    "lost_sync": ("shop", 20),
    "mark_trimmed_early": ("port", 250),
    "member_told_early": ("port", 300),
    "members_backwards": ("tower", 50),
    "migration_recorded_apart": ("shop", 500),
    "nothing_is_undone": ("shop", 200),
    "number_rounded": ("guests", 20),
    "older_event_passed": ("port", 20),
    "open_sagas_closed": ("shop", 20),
    "open_sagas_forgotten": ("shop", 20),
    "other_past_untold": ("shop", 200),
    "others_read_once": ("score", 20),
    "outage_parks": ("tower", 300),
    "own_partitions_waited_for": ("score", 60),
    "ownership_ignored": ("guests", 20),
    "page_ascends": ("shop", 20),
    "parked_is_lost": ("tower", 20),
    "parked_key_ignored": ("tower", 1000),
    "place_taken_behind_rows": ("score", 60),
    "position_kept": ("tower", 200),
    "positions_skip": ("shop", 20),
    "progress_stored_apart": ("shop", 100),
    "real_read_as_float": ("guests", 20),
    "record_cursor_unfenced": ("keys", 120),
    "record_forgotten": ("shop", 20),
    "record_saga_unfenced": ("keys", 200),
    "record_unfiltered": ("shop", 20),
    "refusal_forgotten": ("shop", 20),
    "refusal_taken_as_done": ("shop", 20),
    "refused_is_undone": ("shop", 20),
    "replayed_has_place": ("score", 40),
    "restored_as_it_was": ("deals", 100),
    "restored_goes_on": ("deals", 2000),
    "retry_takes_nothing": ("tower", 50),
    "saga_started_apart": ("shop", 50),
    "saga_unfenced": ("port", 300),
    "schedule_moved_apart": ("clock", 100),
    "scope_not_checked": ("guests", 20),
    "script_hash_unchecked": ("keys", 80),
    "script_kinds_kept": ("keys", 80),
    "script_list_forgotten": ("keys", 20),
    "script_runs_again": ("keys", 80),
    "script_settles_done_as_never": ("keys", 40),
    "set_back_counted_once": ("score", 60),
    "set_back_elsewhere_stands": ("score", 40),
    "set_back_unasked": ("score", 40),
    "set_back_uncounted": ("score", 40),
    "settled_by_presence": ("port", 60),
    "signature_not_verified": ("guests", 20),
    "silence_believed": ("shop --bus", 200),
    "slot_trimmed_early": ("keys", 80),
    "sweep_forgotten": ("shop", 200),
    "timer_removed_apart": ("clock", 20),
    "tombstone_forgotten": ("shop", 2000),
    "tombstone_ignored": ("shop", 4000),
    "trimming_untold": ("shop", 100),
    "trims_what_was_fetched": ("tower", 50),
    "undone_runs_again": ("tower", 300),
    "undone_twice": ("shop", 50),
    "unread_position_kept": ("guests", 800),
    "unsent_is_not_undone": ("deals", 400),
    "user_left_behind": ("guests", 20),
    "user_not_kept": ("guests", 100),
    "waiting_rows_left": ("port", 100),
    "waiting_saga_dropped": ("shop", 20),
    "works_not_serializable": ("port", 100),
}
# A program of tests/unit that must find it: simulated systems have no tokens, sockets, marks, walls, or operators.
UNIT = {
    "ahead_dropped": "event_relay",
    "another_grant_taken": "event_grant",
    "another_place_taken": "event_grant",
    "any_method_logged": "request_log",
    "anyones_files_given": "system_namespace",
    "anything_copied_for_keys": "system_client_keys",
    "asked_batch_kept": "work_batch",
    "audience_not_checked": "gateway_jwt",
    "bucket_refilled_by_strangers": "bucket",
    "carried_cursor_falls": "carrier",
    "carried_fields_unfiltered": "event_carried",
    "cast_twice": "event_versions",
    "cast_unchecked": "event_versions",
    "chained_by_positions": "event_carried",
    "chosen_key_unchecked": "event_parked_many",
    "chunk_end_unread": "http_strict",
    "client_by_anyones_word": "gateway_limits",
    "client_for_each_connection": "gateway_limits",
    "compared_beyond_a_page": "event_sync",
    "copied_numbers_kept": "system_namespace",
    "copied_sync_ignored": "simulate_disk",
    "cursor_of_any_query": "page",
    "cursor_unchecked": "page",
    "cut_entry_left_standing": "system_audit",
    "declared_hosts_end_anyones": "call_fetch",
    "digest_without_lengths": "event_sync",
    "dot_of_a_host_overlooked": "call_webhook",
    "doubted_for_good": "event_sync",
    "dropped_generation_answers": "carrier",
    "expiry_not_checked": "gateway_jwt",
    "fact_over_its_correction": "carrier_facts",
    "fetched_again": "call_fetch",
    "first_point_kept": "series_work",
    "flood_hides_others": "request_log",
    "flood_logged": "request_log",
    "folded_line_taken": "http_strict",
    "former_key_forgotten_early": "system_rotation",
    "former_key_kept": "system_rotation",
    "former_tokens_remembered": "system_rotation",
    "given_up_before_events": "event_sync",
    "giving_not_finished": "system_namespace",
    "interval_begun_anew": "series_rollup",
    "kept_cursor_of_a_lost_life": "carrier_kept",
    "kept_gap_answered": "carrier_kept",
    "kept_loss_trimmed_on": "carrier_kept",
    "kept_place_of_a_lost_life": "carrier_kept",
    "kept_point_of_its_sender": "carrier_points",
    "keys_not_copied_again": "system_client_keys",
    "last_chunk_not_asked_for": "system_seal",
    "last_point_of_any_time": "series_model",
    "later_events_dropped": "event_parked_many",
    "later_version_passed": "event_versions_ways",
    "length_beside_chunks_taken": "http_strict",
    "links_beyond_unseen": "carrier_set_back",
    "long_questions_take_all": "sqlite_question",
    "looked_on_forgotten": "carrier_set_back",
    "lost_page_noted": "carrier_set_back",
    "low_thread_never_rests": "aside",
    "low_thread_serves_on": "aside",
    "member_read_twice": "json",
    "mended_before_events": "event_sync",
    "mended_unfenced": "event_sync",
    "mending_believed": "event_sync",
    "milestone_at_a_dead_end": "carrier_milestone",
    "milestone_not_looked_behind": "carrier_milestone",
    "milestone_through_a_start": "carrier_milestone",
    "milestone_unanswered": "carrier_milestone",
    "missed_runs_all_done": "timer_schedule",
    "new_connections_unpaced": "gateway_limits",
    "newer_version_sent": "event_versions",
    "newest_saga_first": "saga_turns",
    "nothing_claimed": "event_relay",
    "number_given_out_again": "carrier_set_back",
    "old_ends_before_the_new_is_ready": "system_instances",
    "other_lives_taken": "event_carried",
    "overload_kept": "call_turns",
    "page_ahead_sent_anyway": "carrier_pages",
    "page_digest_of_keys": "event_sync",
    "page_digest_without_end": "event_sync",
    "page_repeats_a_row": "page",
    "parked_error_unredacted": "event_marks",
    "parked_mended": "event_sync",
    "pattern_ends_at_nul": "shape_kinds",
    "pattern_unweighed": "shape_kinds",
    "pause_measured": "call_turns",
    "personal_derived_elsewhere": "derived_marks",
    "points_swept_early": "series_work",
    "question_keeps_its_rank": "sqlite_question",
    "question_runs_on": "sqlite_question",
    "question_waits_with_reader": "sqlite_question",
    "rebuilt_reaches_out": "rebuild_join",
    "received_without_end": "http_bounds",
    "reference_passed": "event_carried",
    "refusal_stands": "view",
    "refused_body_runs": "http_strict",
    "relayed_without_a_word": "event_relay",
    "removed_words_left": "derived_marks",
    "replay_forgotten": "event_replay",
    "replay_reaches_out": "event_replay",
    "report_cut_short": "report_work",
    "report_reads_all": "report_work",
    "restart_migrates": "system_instances",
    "retried_uncast": "event_versions",
    "rolled_point_taken": "series_rollup",
    "row_over_its_change": "carrier_anew",
    "row_version_ignored": "event_versions_ways",
    "schedule_moved_back": "timer_schedule",
    "secret_recorded": "command_marks",
    "serves_before_its_rows": "carrier_anew",
    "serves_what_is_behind": "carrier_anew",
    "set_back_outbox_read_on": "carrier_set_back",
    "set_back_waits_once": "view",
    "shed_body_runs": "http_shed",
    "shedding_unbounded": "http_shed",
    "signer_before_verifiers": "system_rotation",
    "skipped_before_applied": "event_level",
    "state_fields_unfiltered": "event_snapshot",
    "state_not_covered": "system_namespace",
    "trims_before_rebuilt": "event_trim",
    "trims_before_relayed": "event_relay",
    "turn_kept": "call_turns",
    "unanswered_page_noted": "carrier",
    "upgrade_has_all_time": "system_instances",
    "waited_without_incarnation": "event_level",
}
FILES = {"shop": ROOT / "examples/shop/freehold.yaml",
         "tower": ROOT / "tests/simulate/tower/freehold.yaml",
         "guests": ROOT / "tests/simulate/guests/freehold.yaml",
         "clock": ROOT / "tests/simulate/clock/freehold.yaml",
         "deals": ROOT / "tests/simulate/deals/freehold.yaml",
         "port": ROOT / "tests/simulate/port/freehold.yaml",
         "score": ROOT / "tests/simulate/score/freehold.yaml",
         "shelf": ROOT / "tests/simulate/shelf/freehold.yaml",
         "keys": ROOT / "tests/simulate/port/keys/freehold.yaml"}
# Those whose models this build has: without Lua's headers there is none of Redis, and its bugs are skipped.
BUILT = {name for name in FILES if name != "keys" or pathlib.Path("/usr/include/lua5.1/lualib.h").exists()}
# Unit tests that draw what they do draw it of these, so that what finds a bug today finds it tomorrow.
UNIT_SEEDS = ("1", "2", "3")
WALLS = os.geteuid() == 0 and not subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode


def names_in_the_patches():
    found = set()
    for path in sorted((ROOT / "tests/mutations").glob("*.patch")):
        for line in re.findall(r"^\+.*", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.update(re.findall(r"\bMUTATION\((\w+)\)", line))
    return found


def simulate(system, mutation, runs):
    """What a mutated system's simulation tells, up to the first seed that fails; "shop --bus": with that option."""
    system, *options = system.split()
    ran = subprocess.run([BUILD / f"tests/simulate/mutated_{system}", FILES[system], *options, "--seed", "1", "--runs",
                          str(runs), "--stop", "--json"], capture_output=True, text=True,
                         check=False, env={**os.environ, "FREEHOLD_MUTATION": mutation})
    return json.loads(ran.stdout)


def found(mutation):
    system, within = WITHIN[mutation]
    if system.split()[0] not in BUILT:
        return None, "no model of Redis in this build"
    told = simulate(system, mutation, within)
    if told["failed"]:
        return True, f"found by the {system} after {told['runs']} of {within} seeds"
    return False, f"not found by the {system} in {within} seeds"


def run_unit_test(program, mutation, seed):
    """A deliberate bug may make each case hang: the first that fails ends the program, and soon."""
    hasty = {"CMOCKA_TEST_ABORT": "1", "FREEHOLD_TEST_PATIENCE_S": "60"} if mutation else {}
    return subprocess.run([BUILD / f"tests/simulate/mutated_{program}_test"], capture_output=True, check=False, text=True,
                          errors="replace",
                          env={**os.environ, **hasty, "FREEHOLD_MUTATION": mutation, "FREEHOLD_SEED": seed})


def unit_test_finds(program, mutation):
    return any(run_unit_test(program, mutation, seed).returncode != 0 for seed in UNIT_SEEDS)


def found_by_unit_test(mutation):
    if UNIT[mutation] == "system_namespace" and not WALLS:
        return None, "NOT ROOT, OR NO MOUNT NAMESPACES: NOTHING WAS TRIED"
    return unit_test_finds(UNIT[mutation], mutation), f"{UNIT[mutation]}_test"


def unit_tests_find_nothing_without_a_mutation():
    ran = {program: run_unit_test(program, "", UNIT_SEEDS[0]) for program in sorted(set(UNIT.values()))}
    wrong = [f"{program} ended with {one.returncode}: {' '.join(one.stderr.split())[-400:]}"
             for program, one in ran.items() if one.returncode]
    return not wrong, f"failed: {'; '.join(wrong)}"


def nothing_is_found_without_a_mutation():
    runs = {system: 10 if system in ("port", "score", "shelf", "keys") else 30 for system in BUILT}
    told = {system: simulate(system, "", runs[system]) for system in BUILT}
    return all(told[one]["failed"] == 0 and told[one]["runs"] == runs[one] for one in BUILT), ""


def every_mutation_of_the_patches_is_named_here():
    patches, here = names_in_the_patches(), {*WITHIN, *UNIT}
    return patches == here, f"new: {sorted(patches - here)}, gone: {sorted(here - patches)}"


def a_failure_is_printed_with_its_trace_and_replays():
    program = [BUILD / "tests/simulate/mutated_shop", FILES["shop"]]
    environment = {**os.environ, "FREEHOLD_MUTATION": "refused_is_undone"}
    seed = simulate("shop", "refused_is_undone", 50)["failed_seeds"][0]
    told = [subprocess.run([*program, "--seed", str(seed)], capture_output=True, text=True,
                           check=False, env=environment) for _ in range(2)]
    traces = [re.sub(r" in [\d.]+ s;.*", "", one.stdout) for one in told]
    return (told[0].returncode == 1 and f"seed {seed} FAILED" in traces[0]
            and f"seed {seed}, the last of" in traces[0] and traces[0] == traces[1]), ""


def users_own_tests_find_what_breaks_their_promises():
    """Tests of services, of which the users know nothing of the sources."""
    found_by = {"lost_sync": "users.what_was_answered_is_there_after_the_power_went",
                "record_forgotten": "orders.an_order_is_charged_once_whenever_orders_dies",
                "doubt_is_not_undone": "orders.a_bank_that_is_away_is_waited_for_until_the_sagas_time_is_over"}
    missed = []
    for mutation, test in found_by.items():
        ran = subprocess.run([BUILD / "tests/simulate/mutated_tests", FILES["shop"], "--seeds", "100", "--only",
                              test], capture_output=True, text=True, check=False,
                             env={**os.environ, "FREEHOLD_MUTATION": mutation})
        missed += [] if f"FAILED {test}" in ran.stdout else [mutation]
    return not missed, f"missed: {missed}"


def drawn(names):
    """In an order that each commit draws: where time runs out it is not always for the same ones."""
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout
    return random.Random(commit.strip()).sample(names, len(names)) if until.NAME in os.environ else names


def run_cases():
    cases = [(one.__name__, one) for one in (nothing_is_found_without_a_mutation,
                                             unit_tests_find_nothing_without_a_mutation,
                                             every_mutation_of_the_patches_is_named_here,
                                             a_failure_is_printed_with_its_trace_and_replays,
                                             users_own_tests_find_what_breaks_their_promises)]
    cases += [(f"{name} is found", lambda name=name: found_by_unit_test(name)) for name in drawn(sorted(UNIT))]
    cases += [(f"{name} is found", lambda name=name: found(name)) for name in drawn(sorted(WITHIN))]
    cases = [case for case in cases if ONLY in case[0]]
    print(f"1..{len(cases)}", flush=True)
    failed = 0
    for number, (name, case) in enumerate(cases, 1):
        held, note = (None, until.SKIPPED) if until.is_over() else case()
        failed += held is False
        skipped = f" # SKIP {note}" if held is None else ""
        print(f"{'not ok' if held is False else 'ok'} {number} - {name}{skipped}", flush=True)
        if note and held is not None:
            print(f"# {note}", flush=True)
    return failed > 0


def main():
    build_folder.make(BUILD, "mutated-programs")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="mutated-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)  # some of the tests let other users in
        os.environ["TMPDIR"] = folder
        return run_cases()


sys.exit(main())
