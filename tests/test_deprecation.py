import pytest

from fno_lightning.deprecation import renamed_option


def test_an_option_given_by_its_name_passes_silently():
    assert renamed_option("new", 3, "old", None) == 3


def test_a_former_name_warns_and_its_values_are_translated():
    with pytest.warns(FutureWarning, match="old: a is now new: b"):
        assert renamed_option("new", None, "old", "a", translation={"a": "b"}) == "b"
    with pytest.warns(FutureWarning, match="old: 4 is now new: 4"):
        assert renamed_option("new", None, "old", 4) == 4


def test_both_names_are_refused():
    with pytest.raises(ValueError, match="old is the former name of new, and both were given"):
        renamed_option("new", 3, "old", 4)
