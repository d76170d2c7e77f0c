import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("pipeline.py")


@pytest.mark.thorough
def test_the_script_of_the_readme(capsys):
    assert len(SCRIPT.read_text().splitlines()) <= 25
    names = runpy.run_path(str(SCRIPT))
    results = names["results"]
    accuracy = results["Top1_Acc_Stream/eval_phase/test_stream/Task000"]
    assert accuracy > 0.3
    assert -1 <= results["StreamForgetting/eval_phase/test_stream"] <= 1
    for t in range(5):
        assert f"Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp{t:03d}" in results
    printed = capsys.readouterr().out
    assert printed.count("-- >> Start of training phase << --") == 5
    assert f"Top1_Acc_Stream/eval_phase/test_stream/Task000 = {accuracy:.4f}" in printed
