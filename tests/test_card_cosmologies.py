"""What a card says of an emulator's cosmologies."""

import numpy as np

from cosmogan_jax.emulators.card_cosmologies import drawn_hull, flag_of_the_mean, section

TRIANGLE = np.array([[0.2, 0.6], [0.4, 0.6], [0.2, 1.0]])


def test_a_hull_is_drawn_where_it_is():
    rows = drawn_hull(TRIANGLE, "omega_m", "sigma8")
    inside = [row.partition("|")[2] for row in rows if "|" in row]
    assert rows[0].strip() == "sigma8"
    assert inside[0].rstrip() == "o"  # the corner at the top
    assert inside[-1][0] == inside[-1][-1] == "o"
    widths = [len(row) for row in inside]
    assert widths == sorted(widths)
    # Half of the rectangle, by its characters; a border counts as inside.
    area = sum(row.count(".") + row.count("o") for row in inside) / (len(inside) * len(inside[-1]))
    assert 0.5 <= area < 0.55
    assert "0.2" in rows[-1]
    assert "0.4" in rows[-1]


def test_the_section_says_range_hull_errors_and_limits():
    card = {"parameters": ["omega_m", "sigma8"], "design": TRIANGLE.tolist()}
    text = section(card)
    assert "Trained on 3 cosmologies, omega_m 0.2 to 0.4, sigma8 0.6 to 1" in text
    assert "not known" in text
    text = section({**card, "left_out": {"ln sigma": 0.0123}, "derivatives_to_ell": 1700.0})
    assert "ln sigma 0.012" in text
    assert "up to ell 1700" in text
    assert "light cone" not in text
    assert "is not one light cone" in section({"parameters": ["source_redshift"], "design": [[0.5], [1.0]]})
    assert "not recorded" in section({"parameters": ["mnu"]})
    assert section({"parameters": []}) == ""
    assert flag_of_the_mean({"parameters": []}) == ""
    assert flag_of_the_mean(card) == " --generate_parameters=omega_m=0.2667,sigma8=0.7333"
