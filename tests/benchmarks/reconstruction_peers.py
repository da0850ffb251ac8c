"""Other packages' filtered back-projection of the disc phantom, each on one core and in its own native geometry.

`python -m tests.benchmarks.reconstruction_peers NAME` times one of them beside ours, turn by turn, in a process of its
own: itk does not load beside everything. Their rays are exact line integrals of the phantom; their pictures are turned
as ours is: rows to the back, columns to the left. What a package cannot do (a half scan of an equiangular fan) is
spared it: only itk-rtk is given a fan.
"""

import json
import os
import sys
import time
from collections.abc import Callable

import numpy as np

from simulators.phantom import CYLINDER
from simulators.projector import SOURCE_RADIUS_MM, VIEWS_PER_ROTATION, half_scan_views, make_fan, project
from simulators.reconstruction import Grid, make_grid, make_method, reconstruct
from tests.references.discs import DISCS, lines_mm, truth

DETECTOR_RADIUS_MM = 1040.0
CHANNELS = 900
HALF_FAN_RAD = np.deg2rad(26.0)
FAR_PIXELS = 7.0  # from an edge
OURS, ROUNDS = "Diastole", 3
GEOMETRIES = {
    OURS: "equiangular fan, half scan",
    "algotom, CPU": "parallel; its picture is as wide as the detector, 721",
    "ASTRA, CPU, linear": "parallel",
    "scikit-image, iradon": "parallel",
    "itk-rtk, FDK": "fan, Parker short scan, flat detector",
}


def main(name: str) -> None:
    """Print one package's and our own times, s, and the error of either picture, HU, as JSON."""
    grid = make_grid(512, 220.0, 0.0, 0.0)
    hu, edge = truth(DISCS, grid)
    flat = edge > FAR_PIXELS * grid.pixel_mm
    works = {OURS: _ours(grid), name: _peer(name, grid)}
    found: dict[str, dict[str, float]] = {}
    for one, work in works.items():
        error = (work() - hu)[flat]  # the first run compiles, and is not timed
        found[one] = {"bias": float(error.mean()), "rmse": float(np.sqrt(np.mean(error**2))), "s": np.inf}
    for _ in range(ROUNDS):
        for one, work in works.items():
            begun = time.perf_counter()
            work()
            found[one]["s"] = min(found[one]["s"], time.perf_counter() - begun)
    sys.stdout.write(json.dumps(found) + "\n")


def _ours(grid: Grid) -> Callable[[], np.ndarray]:
    fan = make_fan(52.0)
    method = make_method(fan, 52.0, 20.0, None)
    rows = [[x, y, 0.0, a, b, 1.0, np.cos(t), np.sin(t), added / 1000, CYLINDER, 0.0] for x, y, a, b, t, added in DISCS]
    turned = np.arange(half_scan_views(52.0, 20.0), dtype=np.float64)
    lines = project(np.array([rows]), 0.3 + 2 * np.pi / VIEWS_PER_ROTATION * turned, fan, 0.0, 3.0)
    return lambda: reconstruct(lines, 0.3, method, grid)


def _peer(name: str, grid: Grid) -> Callable[[], np.ndarray]:
    if name == "itk-rtk, FDK":
        return _rtk(grid)
    views = VIEWS_PER_ROTATION // 2
    angles = np.pi * np.arange(views) / views
    reach = 360  # rays to either side: a little more than the phantom
    offsets = grid.pixel_mm * np.arange(-reach, reach + 1)
    parallel = lines_mm(angles[:, None], offsets[None, :]).astype(np.float32)
    if name == "algotom, CPU":
        return _algotom(parallel, angles, reach, grid)
    return _astra(parallel, angles, grid) if name == "ASTRA, CPU, linear" else _skimage(parallel, angles, grid)


def _hu(water: np.ndarray) -> np.ndarray:
    return np.asarray(1000.0 * (water - 1.0))


def _algotom(parallel: np.ndarray, angles: np.ndarray, middle: int, grid: Grid) -> Callable[[], np.ndarray]:
    import numba
    from algotom.rec.reconstruction import fbp_reconstruction

    numba.set_num_threads(1)
    begin = middle - grid.matrix // 2

    def work() -> np.ndarray:
        whole = fbp_reconstruction(
            parallel, middle, angles=angles, ratio=None, filter_name=None, apply_log=False, gpu=False, ncore=1
        )
        return _hu(whole[::-1][begin : begin + grid.matrix, begin : begin + grid.matrix] / grid.pixel_mm)

    return work


def _astra(parallel: np.ndarray, angles: np.ndarray, grid: Grid) -> Callable[[], np.ndarray]:
    import astra

    half = grid.matrix * grid.pixel_mm / 2

    def work() -> np.ndarray:
        volume = astra.create_vol_geom(grid.matrix, grid.matrix, -half, half, -half, half)
        geometry = astra.create_proj_geom("parallel", grid.pixel_mm, parallel.shape[1], angles)
        projector = astra.create_projector("linear", geometry, volume)
        sinogram, picture = astra.data2d.create("-sino", geometry, parallel), astra.data2d.create("-vol", volume)
        settings = astra.astra_dict("FBP")
        settings |= {"ProjectorId": projector, "ProjectionDataId": sinogram, "ReconstructionDataId": picture}
        settings["option"] = {"FilterType": "ram-lak"}
        algorithm = astra.algorithm.create(settings)
        astra.algorithm.run(algorithm)
        water = astra.data2d.get(picture)
        astra.algorithm.delete(algorithm)
        astra.data2d.delete([sinogram, picture])
        astra.projector.delete(projector)
        return _hu(water[::-1])

    return work


def _skimage(parallel: np.ndarray, angles: np.ndarray, grid: Grid) -> Callable[[], np.ndarray]:
    from skimage.transform import iradon

    def work() -> np.ndarray:
        water = iradon(
            parallel.T,
            theta=np.rad2deg(angles),
            output_size=grid.matrix,
            filter_name="ramp",
            interpolation="linear",
            circle=False,
        )
        return _hu(water[::-1] / grid.pixel_mm)

    return work


def _rtk(grid: Grid) -> Callable[[], np.ndarray]:
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    import itk
    from itk import RTK as rtk  # noqa: N811  # the package's own name for it

    itk.MultiThreaderBase.SetGlobalMaximumNumberOfThreads(1)
    pitch = 2.0 * DETECTOR_RADIUS_MM * np.tan(HALF_FAN_RAD) / CHANNELS
    across = pitch * (np.arange(CHANNELS) - (CHANNELS - 1) / 2)
    gamma = np.arctan(across / DETECTOR_RADIUS_MM)
    views = int(np.ceil((np.pi + 2 * HALF_FAN_RAD) / (2 * np.pi) * VIEWS_PER_ROTATION)) + 6
    turned = 2 * np.pi / VIEWS_PER_ROTATION * np.arange(views)
    fan = lines_mm(turned[:, None] - gamma, -SOURCE_RADIUS_MM * np.sin(gamma)).astype(np.float32)
    image = itk.GetImageFromArray(np.repeat(fan[:, None, :], 3, axis=1).copy())
    image.SetSpacing([pitch, 20.0, 1.0])
    image.SetOrigin([float(across[0]), -20.0, 0.0])
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    for angle in turned:
        geometry.AddProjection(SOURCE_RADIUS_MM, DETECTOR_RADIUS_MM, float(np.rad2deg(angle)))
    kind = itk.Image[itk.F, 3]

    def work() -> np.ndarray:
        empty = rtk.ConstantImageSource[kind].New()
        empty.SetSize([grid.matrix, 1, grid.matrix])
        empty.SetSpacing([grid.pixel_mm, 1.0, grid.pixel_mm])
        empty.SetOrigin([grid.x0_mm, 0.0, grid.y0_mm])
        empty.SetConstant(0.0)
        weighted = rtk.ParkerShortScanImageFilter[kind].New()
        weighted.SetInput(image)
        weighted.SetGeometry(geometry)
        fdk = rtk.FDKConeBeamReconstructionFilter[kind].New()
        fdk.SetInput(0, empty.GetOutput())
        fdk.SetInput(1, weighted.GetOutput())
        fdk.SetGeometry(geometry)
        fdk.Update()
        return _hu(itk.GetArrayFromImage(fdk.GetOutput())[:, 0, ::-1])

    return work


if __name__ == "__main__":
    main(sys.argv[1])
