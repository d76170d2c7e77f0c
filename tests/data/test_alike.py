"""Names of classes that a reader would take for one."""

from contsemi.data.alike import alike


def test_case_blanks_and_compatible_characters_make_no_other_name() -> None:
    names = ["cat", "Cat", "dog", " c a t", "do\u2009g", "ﬁsh", "FISH", "cats"]
    said = alike(names, "rename one")
    assert said == [
        "'Cat' and 'cat' are two classes: if they are one, rename one",
        "'FISH' and 'ﬁsh' are two classes: if they are one, rename one",
    ]


def test_names_that_were_there_before_are_not_told_of() -> None:
    assert alike(["cat", "CAT", "Cat"], "rename one", known=2) == [
        "'Cat' and 'cat' are two classes: if they are one, rename one"
    ]
