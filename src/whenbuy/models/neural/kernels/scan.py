"""The gated linear recurrence over time, forward and backward, as compiled loops.

With s the logistic function, z, o and c the three parts of what a layer makes of a token, and f what a gap of time leaves of the state::

    keep[t] = (1 - s(z)) * f[t]
    h[t]    = keep[t] * h[t - 1] + s(z) * c
    y[t]    = h[t] * o * s(o)

All arrays are time x rows x width (``parts``: z, o, c side by side, ``gates``: s(z), s(o)), contiguous, so the innermost loops run along
the width and are vector operations. A row is never mixed with another.
"""

from __future__ import annotations

from whenbuy.core.arrays import Singles
from whenbuy.core.kernel import kernel


@kernel
def scan_forward(parts: Singles, gates: Singles, faded: Singles, state: Singles, out: Singles) -> None:
    """Write h into ``state`` and y into ``out``; h[-1] is 0."""
    steps, rows, width = state.shape
    for t in range(steps):
        for row in range(rows):
            part, gate, fade, now, y = parts[t, row], gates[t, row], faded[t, row], state[t, row], out[t, row]
            if t == 0:
                for i in range(width):
                    now[i] = gate[i] * part[2 * width + i]
            else:
                before = state[t - 1, row]
                for i in range(width):
                    now[i] = (1 - gate[i]) * fade[i] * before[i] + gate[i] * part[2 * width + i]
            for i in range(width):
                y[i] = now[i] * part[width + i] * gate[width + i]


@kernel
def scan_backward(
    parts: Singles,
    gates: Singles,
    faded: Singles,
    state: Singles,
    slope: Singles,
    carried: Singles,
    part_slope: Singles,
    fade_slope: Singles,
) -> None:
    """Write the slopes of ``parts`` and of log f from that of y.

    With g[t] = slope[t] * o * s(o) + keep[t + 1] * g[t + 1] the slope of h, s(z) has g[t] * (c - f * h[t - 1]), c has g[t] * s(z),
    and log f has g[t] * keep[t] * h[t - 1]. ``carried`` (rows x width) is 0 at first and carries keep[t + 1] * g[t + 1].
    """
    steps, rows, width = state.shape
    for back in range(steps):
        t = steps - 1 - back
        for row in range(rows):
            part, gate, fade, now = parts[t, row], gates[t, row], faded[t, row], state[t, row]
            given, carry, into, fading = slope[t, row], carried[row], part_slope[t, row], fade_slope[t, row]
            for i in range(width):
                o, s = part[width + i], gate[width + i]
                into[width + i] = given[i] * now[i] * s * (1 + o * (1 - s))
                carry[i] += given[i] * o * s
            if t == 0:
                for i in range(width):
                    into[2 * width + i] = carry[i] * gate[i]
                    into[i] = carry[i] * part[2 * width + i] * gate[i] * (1 - gate[i])
                    fading[i] = 0
            else:
                before = state[t - 1, row]
                for i in range(width):
                    g, s = carry[i], gate[i]
                    left = fade[i] * before[i]
                    into[2 * width + i] = g * s
                    into[i] = g * (part[2 * width + i] - left) * s * (1 - s)
                    fading[i] = g * (1 - s) * left
                    carry[i] = g * (1 - s) * fade[i]
