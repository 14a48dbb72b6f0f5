"""What others wrote is shown as text, and a terminal obeys none of it."""

from devices.plain_text import plain


def test_what_a_terminal_would_obey_is_replaced_and_french_spaces_stay() -> None:
    assert plain("a\x1b[2J\r\x9b\u202e\u2028\x00z") == "a\ufffd[2J\ufffd\ufffd\ufffd\ufffd\ufffdz"
    said = "Glycémie : 54\u202fmg/dL\u00a0!\n« sucre »"
    assert plain(said) == said
