"""The manifest names what the numbers depend on."""

import json
import platform

import numpy as np

import contsemi
from contsemi.records.manifest import manifest, versions
from contsemi.records.plain import to_json


def test_versions_are_those_that_run():
    found = versions()
    assert found["numpy"] == np.__version__
    assert found["python"] == platform.python_version()
    assert found["contsemi"] == contsemi.__version__
    assert "torch" in found


def test_content():
    read = json.loads(
        to_json(
            manifest(
                seed=1,
                class_order=np.array([2, 0, 1]),
                label_digest="ab",
                labelled=71,
                device="cpu",
                threads=2,
                dataset_digest="cd",
            )
        )
    )
    assert read["class_order"] == [2, 0, 1]
    assert read["label_digest"] == "ab"
    assert read["dataset_digest"] == "cd"
    assert {"versions", "platform", "seed", "device", "threads", "labelled"} <= set(read)
