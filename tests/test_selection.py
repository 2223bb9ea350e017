"""Stage select: covariance distance, second scores, what is read, ties and broken generators, the curve."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax import keys
from cosmogan_jax.compare.scores.band_chi2 import band_chi2, band_reference, most_bands, relative_power
from cosmogan_jax.compare.scores.second_scores import fallback
from cosmogan_jax.compare.scores.spectrum_distance import expected_distance, spectrum_chi2
from cosmogan_jax.emulators.kinds import build
from cosmogan_jax.emulators.scoring import Scorers
from cosmogan_jax.emulators.trained import Generators
from cosmogan_jax.figures.selection import draw_selection
from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import MapStore
from cosmogan_jax.runs import directory as run_directory
from cosmogan_jax.runs.best_generators import BestGenerators
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.settings import results_only
from cosmogan_jax.stages import select
from cosmogan_jax.summaries import power_spectrum

pytestmark = pytest.mark.usefixtures("quick")

MIX = np.linalg.cholesky(0.2 * np.eye(6) + 0.8).T  # correlations of 0.8 between six bands


def powers(rng, parents, crops, common=0.6):
    """Band powers of 1 +- 0.1; a share `common` of their variance is shared by the crops of a parent."""
    shape = (parents, crops, 6)
    parts = common**0.5 * rng.normal(size=(parents, 1, 6)), (1 - common) ** 0.5 * rng.normal(size=shape)
    return (1e-12 * (1 + 0.1 * sum(parts) @ MIX)).reshape(-1, 6), np.repeat(np.arange(parents), crops)


def chi2(generated, reference):
    return float(band_chi2(relative_power(reference, jnp.asarray(generated)), len(generated), reference))


def test_band_chi2_of_independent_maps_equals_the_formula():
    rng = np.random.default_rng(0)
    (real, parents), (found, _) = powers(rng, 40, 1), powers(rng, 70, 1)
    delta = found.mean(0) / real.mean(0) - 1
    covariance = np.cov(real / real.mean(0), rowvar=False)
    expected = delta @ np.linalg.inv(covariance / 70 + covariance / 40) @ delta * (40 - 6 - 2) / (40 - 1)
    assert chi2(found, band_reference(real, parents)) == pytest.approx(expected, rel=1e-3)
    # Labels are names, and the order of the maps does not matter.
    order = rng.permutation(40)
    again = band_reference(real[order], np.array([f"map{n}" for n in parents])[order])
    assert chi2(found, again) == pytest.approx(expected, rel=1e-3)


def test_crops_that_repeat_their_parent_add_nothing():
    rng = np.random.default_rng(1)
    real, parents = powers(rng, 30, 1)
    total = 1e6 * (1 + rng.normal(0, 0.02, 6)).astype(np.float32)
    # So many generated maps that their own scatter does not count.
    once, often = (band_reference(np.repeat(real, n, 0), np.repeat(parents, n)) for n in (1, 20))
    assert float(band_chi2(total, 10**6, often)) == pytest.approx(
        float(band_chi2(total, 10**6, once)), rel=1e-3
    )


def test_band_chi2_of_equal_ensembles_is_the_number_of_bands():
    """Parents with 8 crops that share 60 % of their variance; counted as crops it would be 4 times as much."""
    found, as_crops = [], []
    for trial in range(300):
        rng = np.random.default_rng([2, trial])
        real, parents = powers(rng, 30, 8)
        generated, _ = powers(rng, 500, 1)
        found.append(chi2(generated, band_reference(real, parents)))
        as_crops.append(chi2(generated, band_reference(real, np.arange(len(real)))))
    error = np.std(found) / 300**0.5
    # 7.9 without Hartlap's factor. Four errors, and 3 %: S is known better than h takes for granted.
    assert error < 0.35
    assert abs(np.mean(found) - 6) < 4 * error + 0.2
    assert np.mean(as_crops) > 12


def test_bands_that_say_nothing_or_too_much():
    rng = np.random.default_rng(3)
    real, parents = powers(rng, 40, 1)
    found, _ = powers(rng, 50, 1)
    gaps = [np.insert(x, 2, 0, axis=1) for x in (real, found)]  # an empty band
    assert chi2(gaps[1], band_reference(gaps[0], parents)) == pytest.approx(
        chi2(found, band_reference(real, parents)), rel=1e-4
    )
    found[3, 1] = np.nan
    assert np.isnan(chi2(found, band_reference(real, parents)))
    for power, of, words in (
        (
            real[:8],
            parents[:8],
            "6 bands need 9 independent development maps or more; there are 8, which allow",
        ),
        (real, parents % 5, "6 bands need 9 independent development maps or more; there are 5"),
        (real[:, [0, 1, 0]], parents, "3 bands of 40 development maps are not independent"),
        (np.ones((40, 3)), parents, "0 bands vary"),
        (rng.random((99, 21)), np.arange(99), "21 bands vary; a covariance form takes 1 to 20"),
        (found, parents[:50], r"band powers of shape \(50, 6\) must be finite"),
    ):
        with pytest.raises(ValueError, match=words):
            band_reference(power, of)
    assert [most_bands(n) for n in (1, 3, 4, 5, 6, 20, 40, 1000)] == [0, 0, 1, 2, 3, 10, 20, 20]


def test_histograms_of_equal_ensembles_differ_by_what_is_expected():
    rng = np.random.default_rng(4)
    found = [spectrum_chi2(*np.exp(rng.normal(size=(2, 400, 30)))) for _ in range(20)]
    # 600 modes: the error of the mean is 2 %.
    assert np.mean(found) == pytest.approx(expected_distance(400, 400), rel=0.08)


def test_the_best_of_many_noisy_scores_falls_back():
    truth = dict.fromkeys(range(1000), 1.0)
    rng = np.random.default_rng(5)
    first = {step: value + rng.normal(0, 0.1) for step, value in truth.items()}
    best = sorted(first, key=first.get)[:20]
    second = {step: truth[step] + rng.normal(0, 0.1) for step in best}
    found = fallback(first, second)
    assert found.first_best == best[0]
    assert found.first_best_scores[0] < 0.72  # the smallest of 1000 normal numbers: 3.2 sigma
    assert found.mean_scores[0] < 0.82
    assert found.mean_scores[1] == pytest.approx(1, abs=4 * 0.1 / 20**0.5)
    assert second[min(second, key=second.get)] == found.chosen_scores[1]
    assert abs(found.rank_correlation) < 0.7
    exact = fallback({1: 0.5, 2: 0.1, 3: 0.4, 9: 0.0}, {1: 0.2, 2: 0.3, 3: 0.2})
    assert exact[:5] == (2, (0.1, 0.3), 3, (0.5, 0.2), 3)
    assert exact.mean_scores == pytest.approx((1 / 3, 0.7 / 3))
    assert exact.rank_correlation == pytest.approx(-(3**0.5) / 2)  # of ranks 3 1 2 and 1.5 3 1.5
    assert fallback({1: 0.5, 2: 0.5, 3: 0.5}, {1: 1, 2: 2, 3: 3}).rank_correlation is None
    with pytest.raises(ValueError, match="was scored a second time"):
        fallback({1: 0.5}, {})


_TRAINED = {}
FLAGS = ("--select_maps=16", "--select_l_bins=3", "--select_from_step=2")
TINY = ("--crop_size=16", "--crops_per_map=2", "--normalisation=linear", "--normalisation_scale=0.1",
        "--num_filters=2", "--batch_size=4")  # fmt: skip


@pytest.fixture
def trained(run_main, parse, tmp_path_factory):
    """A run with 16 development maps of two crops each, and four checkpoints of fresh generators."""
    if not _TRAINED:
        folder = tmp_path_factory.mktemp("select")
        rng = np.random.default_rng(2)
        for name, count in (("train", 4), ("development", 16), ("validation", 4)):
            np.save(folder / f"{name}.npy", (rng.normal(size=(count, 32, 32)) * 0.02).astype(np.float32))
        flags = [
            f"--workdir={folder}/run", f"--maps={folder}/train.npy", "--side_deg=1", *TINY,
            f"--development_maps={folder}/development.npy", f"--validation_maps={folder}/validation.npy",
        ]  # fmt: skip
        code, _, error = run_main(*flags, "--stages=prepare")
        assert code == 0, error
        settings = parse(*flags).by_stage["train"]
        out = run_directory.begin_stage(folder / "run", "train", {}, resumable=False)
        checkpoints = Checkpoints(out / "checkpoints")
        for step in (1, 2, 3, 4):
            state = build(settings)[1].init(jax.random.key(step))
            # Their power is within a few times the real one: 0.02 white noise, seen by networks as 0.2.
            louder = jax.tree.map(lambda leaf: (6.5 + 0.2 * step) * leaf, state.gen.params)  # noqa: B023
            checkpoints.save(step, state.replace(gen=state.gen.replace(params=louder)))
        checkpoints.close()
        record = {"flags": results_only(settings), "inputs": {}, "summary": {}}
        run_directory.finish_stage(folder / "run", "train", record)
        _TRAINED["run"] = folder / "run"
    return _TRAINED["run"]


def selection(parse, workdir, out, *flags):
    out.mkdir(exist_ok=True)
    summary = select.run(parse(f"--workdir={workdir}", *FLAGS, *flags).by_stage["select"], workdir, out)
    return summary, read_json(out / "selection.json")


def test_scores_are_those_of_the_maps_and_the_best_of_the_second_pass_is_chosen(trained, parse, tmp_path):
    summary, found = selection(parse, trained, tmp_path, "--select_again=2")
    for key in found:
        assert f"\n    {key}" in select.__doc__ or f", {key}" in select.__doc__, key
    table = open_crop_table(trained / "prepare")
    generators = Generators(trained, "last")
    candidates = {line["step"]: line for line in found["candidates"]}
    assert list(candidates) == [2, 3, 4]
    by_first = sorted(candidates, key=lambda step: candidates[step]["first"]["spectrum_chi2"])
    assert {step for step, line in candidates.items() if line["second"]} == set(by_first[:2])
    edges, seen = log_l_edges(table.geometry, 3), []
    made = generators.trained.emulator("", None, table)
    for which, half in (("first", 0), ("second", 1)):
        crops = table.choose("development", 16, half=half)
        seen.append(set(crops[:, 0]))
        assert found[which]["development_parents"] == len(seen[-1]) == 8
        assert (found[which]["maps"], found[which]["bands"], found[which]["half"]) == (16, 4, half)
        key = keys.key(0, f"{which} scores")
        for step, line in candidates.items():
            if line[which] is None:
                continue
            kappa = made.draw(key, jnp.arange(16), variables=generators.restore(step))[..., 0]
            spectra, bands = (
                [
                    np.asarray(
                        power_spectrum(maps, l_edges, table.geometry.side_deg, mode_weights="full_plane")
                    )
                    for maps in (kappa, table.cut(crops)[..., 0])
                ]
                for l_edges in (edges, log_l_edges(table.geometry, 4))
            )
            assert line[which]["spectrum_chi2"] == pytest.approx(spectrum_chi2(*spectra), rel=1e-4)
            expected = chi2(bands[0], band_reference(bands[1], crops[:, 0]))
            assert line[which]["band_chi2"] == pytest.approx(expected, rel=1e-3)
    generators.close()
    assert not seen[0] & seen[1]
    assert found["halves_apart"] is found["comparable"] is True
    assert found["first"]["from_training"] is False
    chosen = min(by_first[:2], key=lambda step: candidates[step]["second"]["spectrum_chi2"])
    assert found["selected"] == summary["step"] == chosen
    assert found["fallback"]["chosen_scores"] == [
        candidates[chosen][which]["spectrum_chi2"] for which in ("first", "second")
    ]
    by_bands = selection(parse, trained, tmp_path, "--select_by=covariance")[1]
    assert by_bands["by"] == "band_chi2"
    assert by_bands["fallback"]["chosen_scores"][1] == min(
        line["second"]["band_chi2"] for line in by_bands["candidates"]
    )


def test_the_second_pass_alone_chooses(trained, parse, tmp_path, monkeypatch):
    """The best at first is the worst afterwards, and the best of all is not scored again."""
    scores = {"first scores": {2: 0.1, 3: 0.2, 4: 0.3}, "second scores": {2: 0.9, 3: 0.4, 4: 0.01}}
    monkeypatch.setattr(Generators, "restore", lambda self, step: step)

    def scorers(development, emulator, what):
        def of(step):
            value = scores[development.scoring.latents][step]
            return {"spectrum_chi2": value, "worst_power_factor": 2.0, "band_chi2": 1 / value}

        return Scorers(of, of)

    monkeypatch.setattr(select, "make_scorers", scorers)
    for flags, expected in (((), 3), (("--select_by=covariance",), 3), (("--select_again=3",), 4)):
        summary, found = selection(parse, trained, tmp_path, "--select_again=2", *flags)
        assert found["selected"] == summary["step"] == expected, flags
        assert summary["spectrum_chi2"] == scores["second scores"][expected]


def test_no_map_but_development_maps_is_read(trained, parse, tmp_path, monkeypatch):
    _, undisturbed = selection(parse, trained, tmp_path)
    poisoned = tmp_path / "run"
    shutil.copytree(trained, poisoned)
    allowed = set(open_crop_table(trained / "prepare").crops["development"][:, 0])
    for split in ("train", "validation"):  # other crops than were there
        assert 0 not in allowed
        np.save(poisoned / f"prepare/crops_{split}.npy", np.zeros((5, 3), int))
    read, original = set(), MapStore.read

    def spy(store, start=0, stop=None, *more, **options):
        read.update(range(start, store.num_maps if stop is None else stop))
        return original(store, start, stop, *more, **options)

    monkeypatch.setattr(MapStore, "read", spy)
    assert selection(parse, poisoned, tmp_path)[1] == undisturbed
    assert read == allowed


def test_ties_go_to_the_earlier_step_and_broken_generators_are_never_chosen(
    trained, parse, tmp_path, monkeypatch
):
    restore = Generators.restore
    with monkeypatch.context() as patch:
        patch.setattr(Generators, "restore", lambda self, step: restore(self, 2))
        _, found = selection(parse, trained, tmp_path)
        assert len({str(line["second"]) for line in found["candidates"]}) == 1
        assert found["selected"] == 2
        assert found["fallback"]["rank_correlation"] is None
        best = found["candidates"][0]["second"]

    def broken(steps):
        def of(self, step):
            gen = restore(self, 2)
            return gen if step not in steps else jax.tree.map(lambda leaf: leaf * jnp.nan, gen)

        return of

    with monkeypatch.context() as patch:
        patch.setattr(Generators, "restore", broken({2, 3}))
        _, found = selection(parse, trained, tmp_path)
        nothing, _, whole = found["candidates"]
        assert (found["selected"], whole["second"]) == (4, best)
        assert set(nothing["first"].values()) == {None}
        assert nothing["second"] is None
        patch.setattr(Generators, "restore", broken({2, 3, 4}))
        with pytest.raises(
            ValueError, match="none of the 3 candidates, steps 2 to 4, has a finite spectrum_chi2"
        ):
            selection(parse, trained, tmp_path)


@pytest.mark.slow
def test_scores_of_a_dense_phase_are_read_and_its_best_scored_again(trained, parse, tmp_path):
    """Two of its four generators were kept; scores of the others are shown, checkpoint 1 is scored alike."""
    _, alone = selection(parse, trained, tmp_path)
    first = {line["step"]: line["first"] for line in alone["candidates"]}
    dense = tmp_path / "run"
    shutil.copytree(trained, dense)
    best = dense / "train/best"
    ranking = {
        "score_maps": 16,
        "score_l_bins": 3,
        "select_by": "histograms",
        "keep_best": 2,
        "weights": "last",
    }
    write = {2: 0.3, 3: 0.1, 13: 0.2, 14: 0.4}
    held, generators = BestGenerators(best, 0, keep=2, by="spectrum_chi2"), Generators(trained, "last")
    for step, value in write.items():
        scores = {"spectrum_chi2": value, "worst_power_factor": 2.0, "band_chi2": 10 * value}
        held.offer(step, scores, generators.restore(step % 10))
    held.write(14, 0)
    held.close()
    generators.close()
    write_json(best / "settings.json", ranking)
    _, found = selection(parse, dense, tmp_path, "--select_again=3")
    candidates = {line["step"]: line for line in found["candidates"]}
    assert list(candidates) == [2, 3, 4, 13, 14]
    assert found["first"]["from_training"] is found["comparable"] is True
    for step, value in write.items():
        assert candidates[step]["first"]["spectrum_chi2"] == value
    assert candidates[4]["first"] == pytest.approx(first[4], rel=1e-4)
    # Step 14's generator is gone, and would be the last of those of the dense phase anyway.
    assert {step for step, line in candidates.items() if line["second"]} == {2, 3, 13}
    again = candidates[13]["second"], candidates[3]["second"]  # one generator, kept and in a checkpoint
    assert again[0] == pytest.approx(again[1], rel=1e-6)
    assert found["selected"] != 13
    # Another number of maps: other sizes of scores.
    _, found = selection(parse, dense, tmp_path, "--select_maps=32")
    assert found["comparable"] is False
    assert (found["first"]["maps"], found["second"]["maps"]) == (16, 32)


def test_one_development_map_serves_both_passes_and_bands_need_more(trained, parse, tmp_path):
    few = tmp_path / "run"
    shutil.copytree(trained, few)
    table = open_crop_table(few / "prepare")
    first = table.crops["development"][:, 0].min()
    np.save(
        few / "prepare/crops_development.npy",
        table.crops["development"][table.crops["development"][:, 0] == first],
    )
    _, found = selection(parse, few, tmp_path)
    assert found["halves_apart"] is False
    assert found["second"]["development_crops"] == 2
    assert found["second"]["bands"] == 0
    assert found["candidates"][0]["second"]["band_chi2"] is None
    with pytest.raises(
        ValueError, match="select_by=covariance needs 4 development maps or more in either half"
    ):
        selection(parse, few, tmp_path, "--select_by=covariance")
    with pytest.raises(ValueError, match="select_from_step=9 leaves no checkpoint of"):
        selection(parse, few, tmp_path, "--select_from_step=9")


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--select_maps=100", "select_maps=100 must be at most 64 or a multiple of it"),
        ("--select_maps=1", "select_maps=1 must be at least 2"),
        ("--select_again=0", "select_again=0 must be at least 1"),
        ("--select_l_bins=-1", "select_l_bins=-1 must be at least 0"),
    ],
)
def test_bad_input(run_main, tmp_path, flag, words):
    """Before an earlier stage begins."""
    code, _, error = run_main(f"--workdir={tmp_path}/run", "--sky=lognormal", flag)
    assert code == 1
    assert words in error
    assert not (tmp_path / "run/simulate").exists()


def test_curve_shows_every_candidate_both_forms_and_the_chosen_one():
    rng = np.random.default_rng(6)
    steps = range(100, 400)
    first = {step: {"spectrum_chi2": rng.random(), "band_chi2": 1e4 * rng.random()} for step in steps}
    first[150] = {"spectrum_chi2": None, "band_chi2": None}
    found = {
        "selected": 120, "by": "spectrum_chi2",
        "fallback": {
            "first_best": 150, "first_best_scores": [0.1, 0.3], "chosen_scores": [0.2, 0.25],
            "rank_correlation": 0.5,
        },
        "second": {
            "modes": 20, "bands": 8, "maps": 640, "development_crops": 320, "development_parents": 20,
            "expected_if_equal": {"spectrum_chi2": 0.01, "band_chi2": 8.0},
        },
        "candidates": [
            {"step": s, "first": first[s], "second": first[s] if s < 130 else None} for s in steps
        ],
    }  # fmt: skip
    figure = draw_selection(found)
    assert len(figure.axes) == 2
    assert figure.get_suptitle() == (
        "best at first, step 150: 0.1, then 0.3; selected: 0.2, then 0.25; rank correlation of the passes 0.50"
    )
    assert figure.axes[0].get_title().startswith("ranks: 20 modes, 640 maps against 320 crops of 20")
    assert figure.axes[1].get_title().startswith("beside it: 8 bands")
    for ax, name in zip(figure.axes, ("spectrum_chi2", "band_chi2")):
        lines = {line.get_label(): line for line in ax.lines}
        assert set(lines) >= {"first pass, 299 candidates", "second pass, best 30", "selected: step 120"}
        np.testing.assert_array_equal(
            lines["first pass, 299 candidates"].get_ydata(), [first[s][name] for s in steps if s != 150]
        )
        np.testing.assert_array_equal(lines["selected: step 120"].get_ydata(), [first[120][name]])
        assert ax.get_yscale() == "log"
        assert ax.get_ylabel()
    by_bands = found | {"by": "band_chi2"}
    assert draw_selection(by_bands).axes[0].get_title().startswith("ranks: 8 bands")
    for line in found["candidates"]:
        line["first"]["band_chi2"] = None
    assert len(draw_selection(found).axes) == 1
    for line in found["candidates"]:
        line["first"]["spectrum_chi2"] = None
    with pytest.raises(ValueError, match="holds no score to draw"):
        draw_selection(found)
