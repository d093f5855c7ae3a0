"""The words of the field, each in two or three plain sentences: help texts and popovers."""

from __future__ import annotations

import streamlit as st

TERMS: dict[str, str] = {
    "local error": (
        "What one quantizer does to the values that arrive at it: e = Q(x) - x. "
        "It says which quantizer is rough, not what came in already wrong."
    ),
    "accumulated error": (
        "The quantized network's value at this place minus the value of its twin: the same trained weights with all "
        "quantizers switched off. It holds everything that went wrong up to here."
    ),
    "relative error": "Length of a node's error over the length of its value: ||e|| / ||x||. 0.1 means 10 %.",
    "MSE": "Mean squared error: the mean of e² over nodes and channels, in the squared unit of the value.",
    "SQNR": (
        "Signal to quantization noise: 10 log10(sum x² / sum e²) in decibels. Higher is better; one bit more is worth "
        "about 6 dB."
    ),
    "rmse/scale": (
        "Root mean squared error counted in quantization steps. Rounding of evenly spread values gives 1/√12 = 0.289 "
        "whatever the bits. More is clipping, values that gather between two levels or, accumulated, the error of "
        "earlier sites."
    ),
    "rounding and clipping": (
        "A value inside the range is rounded to the nearest level; a value outside is clipped to the end of the range. "
        "Wide ranges cost rounding, narrow ranges cost clipping."
    ),
    "gradient error": (
        "The gradient of a weight matrix is a sum over nodes. The part that a degree group gives, quantizers on, "
        "against the same part, quantizers off, at the same weights. Cosine 1: same direction; relative error: "
        "length of the difference over the length of the part without quantizers."
    ),
    "bits a value": (
        "Bits in which a value of this site is stored. Some methods give each node its own: SGQuant fewer where "
        "in-degree is high. The step is the distance of two neighbouring levels; a mean over the nodes of a bin."
    ),
    "growth exponent": (
        "Slope of the logarithm of error (or of mean or spread after the sum) on log in-degree. 0: no growth; 0.5: "
        "doubled when the degree is four times larger; 1: in proportion to degree. The 95 % interval is "
        "over seeds; with fewer than three seeds it is over nodes (for mean and spread over groups of nodes) and holds "
        "that of each."
    ),
    "scale-free energy": (
        "Dirichlet energy tr(HᵀLH) of the rows H that leave a layer, over tr(HᵀH), with L = I - Â, Â the symmetric "
        "normalisation with self-loops. It lies between 0 and 2. 0: a row tells nothing but the in-degree of its node, "
        "which is how deep GCNs collapse; the more neighbours differ, the larger it is."
    ),
    "change by layer": "Squared length of what a layer changes, over that of what it was given: ‖H - H₋₁‖² / ‖H₋₁‖².",
    "multiplier": (
        "SMP bounds the energy of what a step may change. λ is the multiplier of that bound after training: it falls "
        "from step to step while the bound is exceeded, and rises where there is room. The step adds 2ηλÂ(change)."
    ),
    "flip": (
        "A prediction flips when the quantized network gives a node (or a graph, where graphs are classified) another "
        "class than its twin with the quantizers off."
    ),
    "in-degree": "Number of edges that arrive at a node, without self-loops, in the graph as loaded.",
    "protection": (
        "While training, a protected node and the messages it sends stay at full precision in that step. "
        "p = p_min + (p_max - p_min) F(d), with F the share of nodes whose in-degree is at most d. "
        "At evaluation nothing is protected."
    ),
    "levels used": (
        "A quantizer of b bits has 2^b levels. The entropy says how many bits of them the values really use: "
        "an INT4 site with 2 bits of entropy wastes half of its bits."
    ),
    "clipped share": "Share of values outside the quantizer's range: each is replaced by the end of the range.",
    "profile": (
        "paper: every site of the published method is quantized, messages included. integer: products of messages "
        "stay in int32, without requantization per edge, which is what fast kernels run."
    ),
    "paired difference": (
        "The difference between two methods at the same seed, then its mean over seeds with its 95 % interval "
        "(Student's t; none for fewer than three seeds). It is called a difference only when the interval excludes 0 "
        "and there are five pairs."
    ),
    "p10 to p90": "Eight of ten repetitions took a time in this interval.",
    "float peers": (
        "pyg: torch_geometric as its documentation writes it. dqviz: the float twin of the trained network. torch-csr, "
        "fbgemm, native or numba at FP32: the same layers put together by hand around torch's sparse product, its "
        "embedding_bag, and our own FP32 kernel. onnxruntime: the network as an ONNX graph. All give the same logits; "
        "the accuracy beside them is that of the same weights without quantizers."
    ),
    "bytes asked for": (
        "Index, coefficient and neighbour row of every edge, and what is written, as they lie in memory: INT4 holds "
        "two values a byte, INT2 four. A row that the caches still hold counts again each time, so the rate can exceed "
        "what the memory delivers."
    ),
    "exact": "The integer kernel gives the same bits as the reference in 64-bit integers.",
    "seeds": (
        "Each seed is one training from another random start; means and intervals are taken over seeds. It takes three "
        "for an interval and five to call a difference one."
    ),
}  # fmt: skip


def show_terms(*terms: str) -> None:
    """One popover for the words a chart uses."""
    with st.popover("Glossary", icon=":material/help:", type="tertiary"):
        for term in terms:
            st.markdown(f"**{term[0].upper()}{term[1:]}**  \n{TERMS[term]}")
