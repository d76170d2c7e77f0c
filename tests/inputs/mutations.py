"""Small changes of a file, a value or a command, as disks, editors and strangers make them."""

import copy
import json

NUMBERS = (
    0,
    1,
    2**7,
    2**8 - 1,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
WORDS = (
    b"null", b"NaN", b"1e999", b"-1", b"[]", b"{}", b'""', b"\0", b"../x", b"\xff\xfe", b"9" * 400,
)  # fmt: skip
VALUES = (
    None, True, 0, 1, -1, 0.5, 10**6, 10**30, 1e308, -1e-308, float("nan"), float("inf"), "", "x",
    "../../x", "\0", "\ud800", "\x1b[31m", "é" * 3000, "<script>", "2024-01-01", [], {}, [[]],
    [None], {"": None}, [1, "a"], {"name": {}},
)  # fmt: skip
LETTERS = "=+~,.:[]{}()'\"\\$%@!?*&|<>;# \t\n\r0123456789-eéA\u202e\u2028\udcff"


def mutated(content, draw):
    """A changed copy of bytes: bits, bytes, cuts, holes, repeats, odd numbers, and odd words."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        # Headers, which say how the rest is to be read, are at the ends.
        reach = draw.choice((16, 64, 512, len(data)))
        at = draw.randrange(max(min(reach, len(data)), 1))
        at = len(data) - 1 - at if draw.random() < 0.3 and data else at
        kind = draw.randrange(8)
        if kind == 0 and data:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1 and data:
            data[at] = draw.randrange(256)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + draw.choice((1, 4, 100))]
        elif kind == 4:
            data[at:at] = data[at : at + draw.choice((1, 8, 300))]
        elif kind == 5:
            size = draw.choice((2, 4, 8))
            number = draw.choice(NUMBERS) % 2 ** (8 * size)
            data[at : at + size] = number.to_bytes(size, draw.choice(("little", "big")))
        elif kind == 6:
            data[at : at + draw.choice((0, 1, 4))] = draw.choice(WORDS)
        else:
            data[at : at + 64] = bytes(len(data[at : at + 64]))
    return bytes(data)


def _places(value, path=()):
    """The path of every value inside a tree of lists and dictionaries."""
    if not isinstance(value, dict | list):
        return
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        yield from _places(each, (*path, key))


def odd(value, draw):
    """A copy of a tree in which a few values are lost, exchanged, or of another kind."""
    value = copy.deepcopy(value)
    for _ in range(draw.choice((1, 1, 2, 5))):
        places = list(_places(value))
        if not places:
            break
        *path, last = draw.choice(places)
        inner = value
        for key in path:
            inner = inner[key]
        kind = draw.randrange(5)
        if kind == 0:
            del inner[last]
        elif kind == 1 and isinstance(inner, list):
            inner.append(copy.deepcopy(inner[last]))
        elif kind == 2 and isinstance(inner, dict):
            inner[draw.choice(("", "x", "_target_", "\0", "0"))] = inner.pop(last)
        else:
            inner[last] = copy.deepcopy(draw.choice(VALUES))
    return value


def odd_json(content, draw):
    """JSON, or JSON by lines, with odd values."""
    if b"\n{" not in content:
        return json.dumps(odd(json.loads(content), draw)).encode()
    lines = content.splitlines()
    for _ in range(draw.choice((1, 2))):
        at = draw.randrange(len(lines))
        lines[at] = json.dumps(odd(json.loads(content.splitlines()[at]), draw)).encode()
    return b"\n".join(lines) + b"\n"


def odd_yaml(content, draw):
    """YAML with odd values; it keeps no comments, and ours needs none to be read."""
    import yaml

    value = odd(yaml.safe_load(content), draw)
    return yaml.safe_dump(value, allow_unicode=draw.random() < 0.5).encode("utf-8", "replace")


def odd_words(words, draw):
    """A command with letters lost, doubled, exchanged or added, or with words of another."""
    words = list(words)
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.randrange(len(words))
        word = words[at]
        place = draw.randrange(len(word) + 1)
        kind = draw.randrange(6)
        if kind == 0:
            words[at] = word[:place] + word[place + 1 :]
        elif kind == 1:
            words[at] = word[:place] + draw.choice(LETTERS) * draw.choice((1, 1, 2, 999))
        elif kind == 2:
            words[at] = word[:place] + draw.choice(LETTERS) + word[place:]
        elif kind == 3:
            words.insert(at, draw.choice((word, "-m", "", "--", "~", "+", word[place:])))
        elif kind == 4:
            key = word.partition("=")[0]
            words[at] = f"{key}={draw.choice(VALUES)}"
        else:
            words[at] = word[place:] + word[:place]
    return words
