"""Every act that is declared is entered by the program, on each side that does it, and a test shows each of them.

An act that nobody enters is in no log, which no verifier can find out. So none may be declared without the line of
code that enters it, nor be entered without a test that finds it in a real record.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from exchange.audit_chain import Act
from tests.syntax import tree_of

ROOT = Path(__file__).parents[2]
BOX, TEAM = "agent", "coordination"

SHOWN: dict[tuple[str, Act], str] = {
    (BOX, Act.LOG_BEGUN): "agent/test_audit.py::test_a_database_from_before_begins_its_log_when_it_is_opened",
    (BOX, Act.LOG_CUT): "agent/test_audit.py::"
    "test_a_box_whose_log_was_cut_hears_it_from_the_team_says_so_once_and_goes_on_after_the_hole",
    (BOX, Act.LOG_SHORTENED): "agent/test_audit.py::test_it_signs_within_a_while_of_an_act_and_deletes_what_is_too_old",
    (BOX, Act.LOG_EXPORTED): "agent/test_audit.py::test_an_export_is_an_act_of_who_made_it",
    (BOX, Act.STARTED): "agent/test_audit.py::"
    "test_a_box_that_is_started_killed_and_stopped_says_so_and_an_auditor_can_verify_it",
    (BOX, Act.STOPPED): "agent/test_audit.py::"
    "test_a_box_that_is_started_killed_and_stopped_says_so_and_an_auditor_can_verify_it",
    (BOX, Act.SETTINGS_CHANGED): "agent/test_audit.py::"
    "test_a_box_that_is_started_killed_and_stopped_says_so_and_an_auditor_can_verify_it",
    (BOX, Act.PROTOCOL_APPLIED): "agent/test_audit.py::test_what_the_team_orders_and_what_came_of_it_are_acts",
    (BOX, Act.PROTOCOL_REFUSED): "agent/test_own_acts.py::"
    "test_a_protocol_that_is_refused_leaves_the_patient_under_the_one_of_before_by_an_act",
    (BOX, Act.COMMAND_ACCEPTED): "agent/test_audit.py::test_what_the_team_orders_and_what_came_of_it_are_acts",
    (BOX, Act.COMMAND_REFUSED): "agent/test_audit.py::test_what_the_team_orders_and_what_came_of_it_are_acts",
    (BOX, Act.COMMAND_DONE): "agent/test_audit.py::test_what_the_team_orders_and_what_came_of_it_are_acts",
    (BOX, Act.DEVICE_PAIRED): "agent/test_pair_command.py::"
    "test_a_pairing_and_a_bond_that_is_forgotten_are_acts_and_where_there_is_no_record_that_is_said",
    (BOX, Act.DEVICE_FORGOTTEN): "agent/test_pair_command.py::"
    "test_a_pairing_and_a_bond_that_is_forgotten_are_acts_and_where_there_is_no_record_that_is_said",
    (BOX, Act.ENROLLED): "agent/test_own_acts.py::"
    "test_a_box_says_once_that_it_was_enrolled_and_each_time_that_it_has_another_certificate",
    (BOX, Act.ENROLMENT_REFUSED): "agent/test_own_acts.py::"
    "test_whoever_enrols_a_box_that_has_a_record_is_in_it_and_so_is_a_try_that_failed",
    (BOX, Act.CERTIFICATE_RENEWED): "agent/test_own_acts.py::"
    "test_a_box_says_once_that_it_was_enrolled_and_each_time_that_it_has_another_certificate",
    (BOX, Act.KEYS_ROTATED): "agent/test_own_acts.py::test_a_change_of_the_boxs_key_says_who_wanted_it",
    (BOX, Act.TEAM_LIST_ACCEPTED): "agent/test_own_acts.py::"
    "test_lists_that_come_to_hold_and_lists_that_are_refused_are_acts",
    (BOX, Act.TEAM_LIST_REFUSED): "agent/test_own_acts.py::"
    "test_lists_that_come_to_hold_and_lists_that_are_refused_are_acts",
    (BOX, Act.ERASED): "agent/test_audit.py::test_a_patient_who_is_erased_leaves_the_act_and_a_tag_that_says_nothing",
    (BOX, Act.READING_QUARANTINED): "agent/test_audit.py::"
    "test_a_reading_that_is_quarantined_is_an_act_of_the_same_transaction",
    (BOX, Act.DATABASE_QUARANTINED): "agent/test_quarantine.py::"
    "test_whatever_happened_to_the_file_it_is_set_aside_and_the_box_goes_on",
    (BOX, Act.DATABASE_SET_BACK): "agent/test_own_acts.py::"
    "test_a_database_that_was_set_back_begins_anew_by_an_act_of_the_same_transaction",
    (BOX, Act.READINGS_EVICTED): "agent/test_own_acts.py::"
    "test_a_full_buffer_lets_readings_go_as_one_act_at_once_and_then_one_an_hour_with_how_many",
    (BOX, Act.RECORDS_RESENT): "agent/test_own_acts.py::"
    "test_what_the_team_asked_for_again_is_an_act_with_how_much_of_it_is_gone",
    (BOX, Act.CLOCK_CORRECTED): "agent/test_own_acts.py::test_a_time_that_was_put_right_is_an_act_with_by_how_much",
    (BOX, Act.TOLD_LOCALLY): "agent/test_own_acts.py::"
    "test_what_is_told_in_the_home_is_an_act_each_time_and_its_alert_is_the_patients_tag",
    (BOX, Act.UPGRADED): "agent/test_own_acts.py::test_another_version_of_the_program_is_an_act_the_first_one_is_none",
    (TEAM, Act.PROTOCOL_PROPOSED): "coordination/desk/test_workshop.py::"
    "test_a_step_of_the_way_is_an_act_of_who_took_it",
    (TEAM, Act.PROTOCOL_ABANDONED): "coordination/desk/test_workshop.py::"
    "test_a_step_of_the_way_is_an_act_of_who_took_it",
    (TEAM, Act.PACK_CHANGED): "coordination/desk/test_packs.py::test_what_a_physician_changes_is_an_act_of_theirs",
    (TEAM, Act.SIGNING_KEY_MADE): "coordination/desk/test_signing.py::test_wrong_pins_and_new_keys_are_acts",
    (TEAM, Act.SIGNING_REFUSED): "coordination/desk/test_signing.py::test_wrong_pins_and_new_keys_are_acts",
    (TEAM, Act.LOG_BEGUN): "coordination/test_audit.py::test_a_new_log_of_a_box_is_an_act_and_no_contradiction",
    (TEAM, Act.LOG_CUT): "coordination/test_audit.py::"
    "test_a_log_that_was_set_back_and_gone_on_contradicts_itself_and_is_alerted_once",
    (TEAM, Act.LOG_CUT_EXPLAINED): "coordination/test_acts.py::"
    "test_a_cut_record_is_alerted_until_a_named_person_says_why_and_that_is_an_act",
    (TEAM, Act.LOG_SHORTENED): "coordination/test_audit.py::"
    "test_old_acts_and_heads_go_and_a_checkpoint_answers_for_them",
    (TEAM, Act.LOG_EXPORTED): "coordination/test_audit.py::test_the_command_shows_acts_and_the_export_is_one",
    (TEAM, Act.STARTED): "coordination/test_audit.py::"
    "test_an_inbox_that_starts_and_stops_says_so_once_and_with_which_settings",
    (TEAM, Act.STOPPED): "coordination/test_audit.py::"
    "test_an_inbox_that_starts_and_stops_says_so_once_and_with_which_settings",
    (TEAM, Act.SETTINGS_CHANGED): "coordination/test_audit.py::"
    "test_an_inbox_that_starts_and_stops_says_so_once_and_with_which_settings",
    (TEAM, Act.COMMAND_SIGNED): "coordination/test_acts.py::"
    "test_each_signature_is_an_act_of_who_signed_entered_once_where_the_database_is_or_as_it_is_sent",
    (TEAM, Act.COMMAND_SENT): "coordination/test_acts.py::"
    "test_a_list_that_is_sent_and_a_resend_that_the_team_orders_are_acts",
    (TEAM, Act.COMMAND_RECEIVED): "coordination/test_acts.py::"
    "test_what_a_box_says_came_of_an_order_is_an_act_of_the_box_once_each",
    (TEAM, Act.COMMAND_DONE): "coordination/test_acts.py::"
    "test_what_a_box_says_came_of_an_order_is_an_act_of_the_box_once_each",
    (TEAM, Act.COMMAND_REFUSED): "coordination/test_acts.py::"
    "test_what_a_box_says_came_of_an_order_is_an_act_of_the_box_once_each",
    (TEAM, Act.ENROLMENT_OPENED): "coordination/test_acts.py::"
    "test_a_code_an_enrolment_and_a_renewal_say_who_asked_who_compared_and_which_machine",
    (TEAM, Act.ENROLLED): "coordination/test_acts.py::"
    "test_a_code_an_enrolment_and_a_renewal_say_who_asked_who_compared_and_which_machine",
    (TEAM, Act.ENROLMENT_REFUSED): "coordination/test_acts.py::"
    "test_tries_from_outside_are_entered_without_their_address_and_cannot_flood_the_record",
    (TEAM, Act.CERTIFICATE_RENEWED): "coordination/test_acts.py::"
    "test_a_code_an_enrolment_and_a_renewal_say_who_asked_who_compared_and_which_machine",
    (TEAM, Act.REVOKED): "coordination/test_acts.py::"
    "test_a_box_that_is_taken_out_says_by_whom_and_why_each_time_it_is_said",
    (TEAM, Act.KEYS_ROTATED): "coordination/test_acts.py::"
    "test_keys_that_were_replaced_and_lists_that_were_signed_are_acts_of_who_did_it_and_entered_once",
    (TEAM, Act.TEAM_LIST_SIGNED): "coordination/test_acts.py::"
    "test_keys_that_were_replaced_and_lists_that_were_signed_are_acts_of_who_did_it_and_entered_once",
    (TEAM, Act.ALERT_ACKNOWLEDGED): "coordination/test_audit.py::"
    "test_who_has_seen_an_alert_who_was_given_a_box_and_the_settings_are_acts",
    (TEAM, Act.ALERT_DISPOSED): "coordination/test_acts.py::"
    "test_what_came_of_an_alert_is_an_act_of_who_closed_it_and_its_patient_is_a_tag",
    (TEAM, Act.SELF_REPORT_PROPOSED): "coordination/desk/test_questionnaires.py::"
    "test_what_was_sent_and_answered_is_in_the_record_without_the_pseudonym",
    (TEAM, Act.SELF_REPORT_BEGUN): "coordination/desk/test_questionnaires.py::"
    "test_what_was_sent_and_answered_is_in_the_record_without_the_pseudonym",
    (TEAM, Act.SELF_REPORT_ADAPTED): "coordination/desk/test_adapted_self_report.py::"
    "test_thresholds_under_way_change_once_another_person_confirms_them_and_what_stands_goes_on",
    (TEAM, Act.SELF_REPORT_WITHDRAWN): "coordination/desk/test_adapted_self_report.py::"
    "test_thresholds_that_were_withdrawn_judge_nothing",
    (TEAM, Act.SELF_REPORT_ENDED): "coordination/desk/test_self_report.py::"
    "test_a_follow_up_that_is_ended_voids_its_links_and_resolves_its_alerts",
    (TEAM, Act.QUESTIONNAIRE_SENT): "coordination/desk/test_questionnaires.py::"
    "test_what_was_sent_and_answered_is_in_the_record_without_the_pseudonym",
    (TEAM, Act.QUESTIONNAIRE_ANSWERED): "coordination/desk/test_questionnaires.py::"
    "test_what_was_sent_and_answered_is_in_the_record_without_the_pseudonym",
    (TEAM, Act.BOX_ASSIGNED): "coordination/test_audit.py::"
    "test_who_has_seen_an_alert_who_was_given_a_box_and_the_settings_are_acts",
    (TEAM, Act.BOX_TAKEN_BACK): "coordination/test_audit.py::"
    "test_who_has_seen_an_alert_who_was_given_a_box_and_the_settings_are_acts",
    (TEAM, Act.SIGNED_IN): "coordination/desk/test_sign_in.py::"
    "test_whoever_signs_in_is_in_and_it_is_an_act_of_the_same_transaction",
    (TEAM, Act.SIGN_IN_REFUSED): "coordination/desk/test_sign_in.py::"
    "test_what_is_refused_is_entered_without_the_address_that_was_typed",
    (TEAM, Act.ACCOUNT_OPENED): "coordination/desk/test_team_page.py::"
    "test_somebody_new_gets_an_account_a_link_and_a_password_of_their_own",
    (TEAM, Act.ACCOUNT_CHANGED): "coordination/desk/test_team_page.py::"
    "test_ones_name_and_language_are_ones_own_to_change_and_it_is_an_act",
    (TEAM, Act.ACCOUNT_CLOSED): "coordination/desk/test_team_page.py::"
    "test_a_closed_account_is_out_at_once_and_comes_in_again_when_it_is_opened",
    (TEAM, Act.ROLE_CHANGED): "coordination/desk/test_team_page.py::"
    "test_somebody_new_gets_an_account_a_link_and_a_password_of_their_own",
    (TEAM, Act.TEAM_MADE): "coordination/desk/test_account_commands.py::"
    "test_a_team_and_its_first_administrator_are_made_at_the_keyboard_and_that_is_in_the_record",
    (TEAM, Act.IDENTITY_SHOWN): "coordination/desk/test_identity.py::"
    "test_an_identity_is_shown_for_a_reason_for_five_minutes_and_entered",
    (TEAM, Act.IDENTITY_CHANGED): "coordination/desk/test_identity.py::"
    "test_it_is_not_changed_by_whoever_has_not_looked",
    (TEAM, Act.CONSENT_RECORDED): "coordination/desk/test_identity.py::"
    "test_a_consent_is_recorded_withdrawn_and_stays_readable",
    (TEAM, Act.CONSENT_WITHDRAWN): "coordination/desk/test_identity.py::"
    "test_a_consent_is_recorded_withdrawn_and_stays_readable",
    (TEAM, Act.PATIENT_EXPORTED): "coordination/desk/test_identity.py::"
    "test_a_patient_is_handed_all_that_is_known_of_them_and_of_nobody_else",
    (TEAM, Act.PATIENT_TAKEN_ON): "coordination/test_followed_at_desk.py::"
    "test_who_ended_is_watched_no_more_and_who_is_resumed_is_again",
    (TEAM, Act.FOLLOW_UP_ENDED): "coordination/test_followed_at_desk.py::"
    "test_who_ended_is_watched_no_more_and_who_is_resumed_is_again",
    (TEAM, Act.ERASED): "coordination/desk/test_erasure.py::test_the_record_of_acts_stays_whole_and_names_them_no_more",
    (TEAM, Act.RETENTION_SET): "coordination/desk/test_erasure.py::"
    "test_an_administrator_sets_for_how_long_things_are_kept",
    (TEAM, Act.FHIR_READ): "coordination/desk/test_fhir_clients.py::test_that_somebody_reads_is_entered_once_a_day",
    (TEAM, Act.FHIR_CLIENT_CHANGED): "coordination/desk/test_fhir_clients.py::"
    "test_it_ends_when_it_expires_and_at_once_when_it_is_stopped",
    (TEAM, Act.FHIR_EXPORTED): "coordination/desk/test_fhir_export.py::"
    "test_an_export_holds_exactly_what_a_search_finds",
    (TEAM, Act.EVALUATION_EXPORTED): "coordination/desk/test_evaluation.py::test_it_is_an_act",
}
"""Which test finds an act of the box, or of the team, in a record."""


def _entered(package: str) -> dict[Act, set[str]]:
    """Which modules of a package enter which acts: they name them where they do something, not in a set of names."""
    found: dict[Act, set[str]] = defaultdict(set)
    for path in sorted((ROOT / package).rglob("*.py")):
        tree = tree_of(path)
        only_named = {
            id(inner) for node in ast.walk(tree) if isinstance(node, ast.Set | ast.Compare) for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Act"
            if isinstance(node, ast.Attribute) and named and id(node) not in only_named:
                found[Act[node.attr]].add(path.stem)
    return found


ENTERED = {package: _entered(package) for package in (BOX, TEAM)}


def _test(place: str) -> str:
    """The source of a test, "" when there is none."""
    file, name = place.split("::")
    for node in ast.walk(tree_of(ROOT / "tests" / file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return ast.unparse(node)
    return ""


@pytest.mark.parametrize("act", Act)
def test_each_act_that_is_declared_is_entered_by_a_side(act: Act) -> None:
    assert any(act in acts for acts in ENTERED.values())


def test_each_side_has_a_test_for_each_act_that_it_enters_and_no_other() -> None:
    assert set(SHOWN) == {(package, act) for package, acts in ENTERED.items() for act in acts}


@pytest.mark.parametrize(("side", "act"), SHOWN)
def test_the_test_that_shows_an_act_exists_and_looks_for_it(side: str, act: Act) -> None:
    source = _test(SHOWN[side, act])
    assert source, "there is no such test"
    assert re.search(rf"\bAct\.{act.name}\b|['\"]{act.value}['\"]", source), "it does not look for it"
