"""Small random plans with the shape of each architecture."""

import numpy as np

from srtrain import plan as p


def _conv(random, name, source, shape):
    weight = random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
    bias = random.normal(0, 0.1, shape[0]).astype(np.float32)
    return p.Conv(name, source, weight, bias)


def luma_plan(scale, tail=3):
    """Make a small FSRCNN."""
    random = np.random.default_rng(scale)
    slope = random.uniform(-0.3, 0.5, 6).astype(np.float32)
    operations = [
        _conv(random, "first", p.INPUT, (6, 1, 5, 5)),
        p.PRelu("bent", "first", slope),
        _conv(random, "shrink", "bent", (4, 6, 1, 1)),
        p.Pointwise("squashed", "shrink", "tanh"),
        _conv(random, "tail", "squashed", (scale * scale, 4, tail, tail)),
        p.DepthToSpace("shuffle", "tail", scale),
    ]
    return p.Plan(1, scale, operations)


def colour_plan(scale):
    """Make a small EDSR."""
    random = np.random.default_rng(scale)
    operations = [
        _conv(random, "head", p.INPUT, (5, 3, 3, 3)),
        _conv(random, "inner", "head", (5, 5, 3, 3)),
        p.Pointwise("relu", "inner", "relu"),
        _conv(random, "outer", "relu", (5, 5, 3, 3)),
        p.Add("sum", "head", "outer"),
        _conv(random, "tail", "sum", (3 * scale * scale, 5, 3, 3)),
        p.DepthToSpace("shuffle", "tail", scale),
    ]
    return p.Plan(3, scale, operations)


def pyramid_plan(scale):
    """Make a small LapSRN of two levels."""
    random = np.random.default_rng(scale)
    operations, picture, stages = [], p.INPUT, {}
    for level in range(2):
        operations += [
            _conv(random, f"head{level}", picture, (5, 1, 3, 3)),
            p.Pointwise(f"relu{level}", f"head{level}", "relu"),
            _conv(random, f"detail{level}", f"relu{level}", (4, 5, 3, 3)),
            _conv(random, f"plain{level}", picture, (4, 1, 5, 5)),
            p.Add(f"sum{level}", f"detail{level}", f"plain{level}"),
            p.DepthToSpace(f"level{level}", f"sum{level}", 2),
        ]
        picture = stages[2 << level] = f"level{level}"
    return p.Plan(1, scale, operations, stages)


PLANS = {
    f"{kind}_x{scale}": make(scale)
    for kind, make in (("luma", luma_plan), ("colour", colour_plan))
    for scale in (2, 3, 4)
} | {"pyramid_x4": pyramid_plan(4)}
