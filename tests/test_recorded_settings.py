"""Settings as a run recorded them, in JSON: lists come back as the tuples they were, others as defaults."""

import json

import pytest

from cosmogan_jax import flags
from cosmogan_jax.settings import Train, results_only
from cosmogan_jax.settings.kinds import train_from_record
from cosmogan_jax.settings.lognormal_gan import LognormalGan


def test_what_was_recorded_comes_back():
    own = LognormalGan(match=("power", "pdf"), gen_channels=7)
    settings = Train(3, 64, own, emulator="lognormal_gan", condition_on=("omega_m", "sigma8"))
    recorded = results_only(settings)
    assert recorded["condition_on"] == ["omega_m", "sigma8"]
    again = train_from_record(recorded)
    assert again == settings
    hash(again)  # static to jit


def test_what_was_not_recorded_is_its_default():
    again = train_from_record({"seed": 1, "crop_size": 64})
    assert (again.emulator, again.of_kind.latent_size, again.condition_on) == ("dcgan", 64, ())
    with pytest.raises(ValueError, match="crop_size is not recorded"):
        train_from_record({"seed": 1})
    with pytest.raises(ValueError, match="emulator='flow' is none of the kinds"):
        train_from_record({"seed": 1, "crop_size": 64, "emulator": "flow"})


@pytest.mark.parametrize(
    ("begun", "said", "form"),
    [
        (None, {}, "auto"),
        (("train.partial", {"convolution_form": "winograd"}), {}, "winograd"),
        (("train", {"convolution_form": "phases"}), {}, "phases"),
        (("train", {"num_filters": 64}), {}, "phases"),  # of before there was a choice
        (("train", {"convolution_form": "phases"}), {"convolution_form": "stock"}, "stock"),
        (("train", {"convolution_form": "phases", "num_filters": 16}), {"num_filters": 32}, "phases"),
    ],
)
def test_a_training_goes_on_with_the_form_it_began_with(tmp_path, begun, said, form):
    if begun is not None:
        (tmp_path / begun[0]).mkdir()
        (tmp_path / begun[0] / "settings.json").write_text(json.dumps(begun[1]))
    settings, _, text = flags.parse_call(None, {"workdir": tmp_path, "emulator": "dcgan", **said})
    own = settings.by_stage["train"].of_kind
    assert (own.convolution_form, own.num_filters) == (form, said.get("num_filters", 64))
    assert f"--convolution_form={form}" in text.splitlines()
