"""Augmentation: specifications, what each step does to pictures, and the same pictures whoever makes them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import numbanet
from numbanet.data import AUGMENTATIONS, Augment, AugmentationError, DataLoader, Normalise, PictureDataset
from numbanet.data import parse_augmentations as parse
from numbanet.data.augmentation import describe
from numbanet.kernels.philox import random_bits
from tests.conftest import HAS_NUMBA, needs_numba

BACKENDS = ["numpy", *(["cpu"] if HAS_NUMBA else [])]
NORMALISE = Normalise([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])


@pytest.fixture(params=BACKENDS)
def backend(request):
    before = numbanet.get_backend()
    numbanet.set_backend(request.param)
    yield request.param
    numbanet.set_backend(before)


def pictures(n: int = 40, shape: tuple[int, int, int] = (3, 12, 12)) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (n, *shape)).astype(np.uint8)


def augmented(spec: str, x: np.ndarray, epoch: int = 0, seed: int = 0, samples: np.ndarray | None = None) -> np.ndarray:
    return Augment(spec, NORMALISE, seed).augment(x, np.arange(len(x)) if samples is None else samples, epoch)


def share_changed(result: np.ndarray, x: np.ndarray) -> float:
    return (result != x).reshape(len(x), -1).any(1).mean()


# --- specifications ---------------------------------------------------------------------------------------------------
def test_there_are_twelve():
    assert len(AUGMENTATIONS) == 12
    for name, kind in AUGMENTATIONS.items():
        assert describe(kind()) == name == describe(parse(name)[0])
        assert kind.__doc__
        assert "p" in kind.__dataclass_fields__


def test_parameters_by_name_and_by_place():
    spec = "flip, crop(4, padding_mode='reflect'), affine(degrees=(-5,10), scale=0.8, interpolation=bilinear)"
    flip, crop, affine = parse(spec)
    assert flip.p == 0.5
    assert (crop.padding, crop.padding_mode) == (4, "reflect")
    assert (affine.degrees, affine.scale, affine.interpolation) == ((-5, 10), (0.8, 0.8), "bilinear")
    again = parse(",".join(map(describe, (flip, crop, affine))))
    assert again == (flip, crop, affine)


def test_one_number_is_a_span():
    (jitter,) = parse("jitter(brightness=0.3,contrast=2,hue=0.2,saturation=(0.5,3))")
    assert jitter.brightness == pytest.approx((0.7, 1.3))
    assert (jitter.contrast, jitter.hue, jitter.saturation) == ((0, 3), (-0.2, 0.2), (0.5, 3))


@pytest.mark.parametrize(
    ("spec", "names"), [("", ""), ("none", ""), ("default", "flip crop"), ("blur,default", "blur flip crop")]
)
def test_none_and_default(spec, names):
    assert " ".join(describe(step) for step in parse(spec, "flip,crop")) == names


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("flop", "there is no augmentation 'flop'; did you mean 'flip'"),
        ("flip(", "cannot read the augmentations 'flip('"),
        ("crop(pading=3)", "crop has no parameter 'pading'; did you mean 'padding'"),
        ("crop(padding=-1)", "crop: padding must be a whole number from 0 to 10000, not -1"),
        ("crop(2.0)", "a whole number"),
        ("flip(2)", "flip: p must be a number from 0 to 1, not 2"),
        ("flip(1,2)", "flip has only the parameters p"),
        ("crop(3,padding=4)", "crop is given padding twice"),
        ("jitter(hue=0.7)", "hue must be a number, or two in brackets, from -0.5 to 0.5"),
        ("resized_crop(scale=(1,0.5))", "scale must be two numbers from 0 to 1"),
        ("blur(kernel_size=4)", "blur: kernel_size must be odd, not 4"),
        ("rotate(interpolation=cubic)", "one of nearest, bilinear, not 'cubic'"),
        ("noise(sigma=1e999)", "sigma must be a number"),
        ("noise(sigma=True)", "sigma must be a number"),
        (f"noise(sigma={10**400})", "sigma must be a number"),
        (f"jitter(hue=(0,{10**400}))", "hue must be a number"),
        ("crop(padding=x+1)", "crop: padding cannot be x [+] 1"),
        ("crop(padding={[]:1})", "crop: padding cannot be {"),
        (f"crop(padding={10**30})", "crop: padding must be a whole number from 0 to 10000"),
        (f"cutout(size={10**400})", "cutout: size must be a whole number from 1 to 10000"),
        ("__import__('os').getcwd()", "there is no augmentation"),
        ("3", "there is no augmentation '3'"),
    ],
)  # fmt: skip
def test_wrong_specifications(spec, message):
    with pytest.raises(AugmentationError, match=message.replace("(", "[(]").replace(")", "[)]")):
        parse(spec)


@pytest.mark.parametrize(
    ("spec", "shape"), [("blur(kernel_size=7)", (3, 3, 9)), ("crop(padding=5,padding_mode=reflect)", (3, 9, 5))]
)
def test_pictures_too_small_for_a_step(spec, shape):
    with pytest.raises(AugmentationError, match="needs pictures of"):
        augmented(spec, pictures(2, shape))


def test_other_pictures_are_refused():
    with pytest.raises(TypeError, match="uint8"):
        augmented("flip", pictures().astype(np.float32))
    with pytest.raises(ValueError, match="expected pictures"):
        augmented("flip", pictures(2, (1, 5, 5)))
    with pytest.raises(AugmentationError, match="1 or 3 channels, not 2"):
        Augment("jitter", Normalise([0.5] * 2, [0.5] * 2)).augment(pictures(2, (2, 5, 5)), np.arange(2))


# --- what the steps do ------------------------------------------------------------------------------------------------
def test_flip(backend):
    x = pictures(400)
    result = augmented("flip", x)
    flipped = (result == x[..., ::-1]).all((1, 2, 3))
    assert (flipped | (result == x).all((1, 2, 3))).all()
    assert 150 < flipped.sum() < 250


def test_crop_takes_every_window_of_the_padded_picture(backend):
    x = pictures(300)
    result = augmented("crop(padding=2,fill=9)", x)
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=9)
    windows = {
        (i, j): (result == padded[:, :, i : i + 12, j : j + 12]).all((1, 2, 3)) for i in range(5) for j in range(5)
    }
    assert np.sum(list(windows.values()), axis=0).all()
    assert all(window.any() for window in windows.values())


def test_quarter_turns(backend):
    x = pictures(200)
    result = augmented("rotate90", x)
    counts = [(result == np.rot90(x, k, (2, 3))).all((1, 2, 3)).sum() for k in range(4)]
    assert sum(counts) == 200
    assert min(counts) > 25
    x = pictures(50, (3, 8, 12))
    result = augmented("rotate90(p=1)", x)
    np.testing.assert_array_equal(result, x[:, :, ::-1, ::-1])


def test_cutout_is_a_square_that_the_edge_cuts(backend):
    x = np.full((300, 3, 12, 12), 200, np.uint8)
    result = augmented("cutout(size=4,fill=7)", x)
    holes = result == 7
    assert (holes == holes[:, :1]).all()
    assert ((result == 200) | holes).all()
    for hole in holes[:, 0]:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 2 <= len(rows) <= 4
        assert 2 <= len(columns) <= 4
    middles = {(hole.any(1).argmax(), hole.any(0).argmax()) for hole in holes[:, 0]}
    assert len(middles) > 60


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_rotations_are_of_the_angle(backend, interpolation):
    """A rotation by a known angle, against SciPy's, away from the edges."""
    rows, columns = np.mgrid[0:31, 0:31]
    smooth = (127 + 60 * np.sin(rows / 5) + 60 * np.cos(columns / 6)).astype(np.uint8)
    x = np.broadcast_to(smooth, (1, 3, 31, 31)).copy()
    result = augmented(f"rotate(degrees=(30,30),interpolation={interpolation})", x)[0, 0]
    expected = ndimage.rotate(smooth.astype(float), 30, reshape=False, order=1)
    inside = (rows - 15) ** 2 + (columns - 15) ** 2 < 12**2
    assert np.abs(result - expected)[inside].max() < (2 if interpolation == "bilinear" else 14)


def test_resized_crops_keep_to_scale_and_ratio(backend):
    """Of a picture whose values are places, the box can be read off the result."""
    rows, columns = np.mgrid[0:60, 0:60]
    x = np.broadcast_to(np.stack([rows * 4, columns * 4, rows]), (200, 3, 60, 60)).astype(np.uint8)
    result = augmented("resized_crop(scale=(0.2,0.5),ratio=(0.5,2))", x).astype(float)
    height = 1 + (result[:, 0, -1, 30] - result[:, 0, 0, 30]) / 4
    width = 1 + (result[:, 1, 30, -1] - result[:, 1, 30, 0]) / 4
    share, ratio = height * width / 3600, width / height
    assert 0.18 < share.min() < 0.24
    assert 0.46 < share.max() < 0.53
    assert 0.45 < ratio.min() < 0.7
    assert 1.5 < ratio.max() < 2.2
    unchanged = augmented("resized_crop(p=0)", x)
    np.testing.assert_array_equal(unchanged, x)


def test_a_box_that_never_fits_is_the_largest_in_the_middle(backend):
    x = pictures(3, (3, 8, 40))
    result = augmented("resized_crop(scale=(1,1),ratio=(1,1))", x)
    box = np.ascontiguousarray(x[:, :, :, 16:24])
    assert np.abs(result[:, :, :, ::5].astype(int) - box).mean() < 40
    assert (result.min((2, 3)) >= box.min((2, 3))).all()
    assert (result.max((2, 3)) <= box.max((2, 3))).all()


@pytest.mark.parametrize("ratio", [100, 0.01])
def test_a_box_is_at_least_a_pixel(backend, ratio):
    x = pictures(3, (3, 32, 32))
    result = augmented(f"resized_crop(ratio=({ratio},{ratio}))", x)
    line = x[:, :, 15:16, :] if ratio > 1 else x[:, :, :, 15:16]
    np.testing.assert_array_equal(result, np.broadcast_to(line, x.shape))


def test_grayscale(backend):
    x = pictures(200)
    result = augmented("grayscale(p=0.5)", x)
    grey = (result == result[:, :1]).all((1, 2, 3))
    assert 70 < grey.sum() < 130
    r, g, b = x[grey].astype(int).transpose(1, 0, 2, 3)
    np.testing.assert_allclose(result[grey][:, 0], (2989 * r + 5870 * g + 1140 * b) // 10000, atol=1)
    single = pictures(5, (1, 6, 6))
    one = Augment("grayscale(p=1)", Normalise([0.5], [0.5])).augment(single, np.arange(5))
    np.testing.assert_array_equal(one, single)


def test_jitter_draws_its_factors(backend):
    x = np.full((300, 3, 4, 4), 100, np.uint8)
    result = augmented("jitter(brightness=(0.5,1.5),contrast=0,saturation=0,hue=0)", x)
    assert (result == result[:, :1, :1, :1]).all()
    assert 50 <= result.min() < 55
    assert 145 < result.max() <= 150


def test_sobel_is_scikit_images(backend):
    """√((h² + v²)/2)/4 of SciPy's sums, whose mode "reflect" repeats the edge."""
    x = pictures(4)
    result = augmented("sobel", x)
    for plane, edges in zip(x.reshape(-1, 12, 12).astype(float), result.reshape(-1, 12, 12), strict=True):
        across, down = (ndimage.sobel(plane, axis=axis, mode="reflect") for axis in (1, 0))
        np.testing.assert_array_equal(edges, np.rint(np.sqrt((across**2 + down**2) / 32)))


def test_noise_has_its_mean_and_deviation(backend):
    x = np.full((50, 3, 20, 20), 120, np.uint8)
    noise = augmented("noise(sigma=0.1,mean=0.05)", x).astype(float) - 120
    assert noise.mean() == pytest.approx(0.05 * 255, abs=0.6)  # cut off towards 0, as torchvision does
    assert noise.std() == pytest.approx(25.5, abs=0.5)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1


def test_noise_is_made_of_the_sample_s_own_stream():
    """The sum, written down: word j of sample s has the counter (j // 4, s, stream, epoch)."""
    numbanet.set_backend("numpy")
    x = pictures(1, (3, 2, 3))
    result = augmented("flip(p=0),noise(sigma=0.2)", x, epoch=4, seed=9, samples=np.array([7]))
    words = random_bits(9, 0x4E01, 4 * (7 << 32), 18, substream=4) >> 8
    u, v = (words[::2] * 2.0**-24, words[1::2] * 2.0**-24)
    radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * np.pi * v
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(x.shape)
    np.testing.assert_array_equal(result, np.clip(x + np.trunc(51 * z), 0, 255))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_probability(backend, name):
    more = {"rotate": "degrees=(20,90),", "blur": "sigma=(0.5,1),"}.get(name, "")  # small ones change nothing
    x = pictures(150)
    np.testing.assert_array_equal(augmented(f"{name}({more}p=0)", x), x)
    assert 0.15 < share_changed(augmented(f"{name}({more}p=0.3)", x), x) < 0.45
    assert share_changed(augmented(f"{name}({more}p=1)", x), x) > 0.95


# --- the same pictures, whoever makes them ----------------------------------------------------------------------------
ALL = ",".join(AUGMENTATIONS)


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "flip,crop,cutout,jitter"])
def test_a_sample_is_the_same_in_any_batch(backend, name):
    x, samples = pictures(), np.arange(40) * 3
    whole = augmented(name, x, 5, 1, samples)
    np.testing.assert_array_equal(augmented(name, x[7:9], 5, 1, samples[7:9]), whole[7:9])
    np.testing.assert_array_equal(augmented(name, x[::-1], 5, 1, samples[::-1]), whole[::-1])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_epochs_seeds_and_samples_differ(name):
    x = np.broadcast_to(pictures(1), (60, 3, 12, 12)).copy()
    p = "(p=0.5)" if name == "sobel" else "(p=0.9)"
    result = augmented(name + p, x)
    assert len(np.unique(result.reshape(60, -1), axis=0)) >= (2 if name in ("flip", "sobel", "grayscale") else 4)
    assert (result != augmented(name + p, x, epoch=1)).any()
    assert (result != augmented(name + p, x, seed=1)).any()


@needs_numba
def test_back_ends_and_threads_give_the_same_bytes():
    x, samples = pictures(64, (3, 32, 32)), np.arange(64) + 1000
    results, threads = [], numbanet.get_num_threads()
    spec = ALL.replace("noise,", "")  # whose logarithms and cosines differ in the last place
    for name, count in (("numpy", 1), ("cpu", 1), ("cpu", 2)):
        numbanet.set_backend(name)
        numbanet.set_num_threads(count)
        results.append(augmented(spec, x, 3, 2, samples))
    numbanet.set_num_threads(threads)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[1], results[2])


def test_pictures_given_stay_as_they_are(backend):
    x = pictures()
    before = x.copy()
    for name in AUGMENTATIONS:
        augmented(name, x)
    np.testing.assert_array_equal(x, before)


def test_conversion(backend):
    x = pictures()
    augment = Augment("flip,cutout(size=3)", NORMALISE, 4)
    inputs, labels = augment((x, np.arange(40)), np.arange(40), 2)
    np.testing.assert_array_equal(inputs.numpy(), NORMALISE(augment.augment(x, np.arange(40), 2)))
    assert labels.tolist() == list(range(40))
    plain, _ = Augment("", NORMALISE)((x, None), np.arange(40), 0)
    np.testing.assert_array_equal(plain.numpy(), NORMALISE(x))


# --- in a loader ------------------------------------------------------------------------------------------------------
def loader(**options) -> DataLoader:
    dataset = PictureDataset(pictures(50), np.arange(50) % 10, NORMALISE.mean, NORMALISE.std, "abcdefghij")
    augment = Augment("flip,crop(padding=2),jitter,cutout(size=3)", NORMALISE, 11)
    return DataLoader(dataset.as_bytes(), 8, shuffle=True, seed=11, transform=augment, **options)


def arrays(batches) -> list[tuple[bytes, list[int]]]:
    return [(inputs.numpy().tobytes(), labels.tolist()) for inputs, labels in batches]


def test_a_position_in_the_middle_of_an_epoch_goes_on_with_the_same_pictures(backend):
    first = loader()
    list(first)
    whole = arrays(first)
    third = loader()
    third.set_epoch(1)
    seen = []
    for batch in third:
        seen += arrays([batch])
        if len(seen) == 3:
            state = third.state_dict()
            break
    second = loader()
    second.load_state_dict(state)
    assert seen + arrays(second) == whole


def test_every_epoch_has_pictures_of_its_own(backend):
    batches = loader()
    batches.shuffle = False
    first, second = arrays(batches), arrays(batches)
    assert [labels for _, labels in first] == [labels for _, labels in second]
    assert all(one != other for (one, _), (other, _) in zip(first, second, strict=True))


def test_reading_ahead_changes_nothing(backend):
    ahead = loader(prefetch=2)
    ahead.dataset.in_memory = False
    assert arrays(ahead) == arrays(loader())
