"""Drawings of texts: the figures behind them, and files that are pictures."""

from __future__ import annotations

import numpy as np

from numbanet.training import text_drawings as drawings


def test_neighbours():
    vectors = np.array([[1.0, 0], [2, 0.1], [0, 1], [-1, 0], [0, 0]])
    found = drawings.neighbours(vectors, 0, 3)
    assert [number for number, _ in found] == [1, 2, 4]
    assert found[0][1] > 0.99
    assert len(drawings.neighbours(vectors, 0, 99)) == 4


def test_principal_components():
    """Of points on a line in space the first component is the place on the line."""
    places = np.array([-2.0, -1, 0, 4])
    points = drawings.principal_components(places[:, None] * np.array([[0.6, 0, 0.8]]) + 5, 2)
    np.testing.assert_allclose(points[:, 0], places - places.mean(), atol=1e-12)
    np.testing.assert_allclose(points[:, 1], 0, atol=1e-12)
    assert drawings.principal_components(np.ones((1, 1)), 2).shape == (1, 2)


def test_pictures(tmp_path):
    weights = np.random.default_rng(0).dirichlet(np.ones(4), (3, 2))
    drawings.draw_alignment(weights[0], ["a$", "b", " ", "\n"], ["x", "y"], tmp_path / "a.png")
    drawings.draw_heads(weights, ["x", "y"], list("abcd"), "layer", tmp_path / "b.png")
    drawings.draw_heads(weights[:1], ["x", "y"], list("abcd"), "layer", tmp_path / "c.png")
    drawings.draw_embedding_map(np.eye(4), ["$x_1$", "b", "世", "d"], tmp_path / "d.png")
    drawings.draw_positions(np.zeros((5, 4)), tmp_path / "e.png")
    for name in "abcde":
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
