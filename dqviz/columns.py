"""Every column name that travels between rooms, with its label and unit: the one place where a name is spelled."""

from __future__ import annotations

from enum import StrEnum


class Column(StrEnum):
    """A column of a table. `label` is for people, `unit` is '' where there is none."""

    label: str
    unit: str

    def __new__(cls, value: str, label: str, unit: str = "") -> Column:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        member.unit = unit
        return member

    @property
    def axis(self) -> str:
        """Axis title: label with its unit in brackets."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    # identity of a run
    RUN_ID = "run_id", "Run"
    STUDY_ID = "study_id", "Study"
    STATE = "state", "State"
    DATASET = "dataset", "Data set"
    ARCH = "arch", "Architecture"
    METHOD = "method", "Method"
    BITS = "bits", "Bits"
    PROFILE = "profile", "Site profile"
    SEED = "seed", "Seed"
    EPOCHS = "epochs", "Epochs"
    ERROR = "error", "Error message"

    # results of a run
    VAL_ACCURACY = "val_accuracy", "Validation accuracy", "share"
    TEST_ACCURACY = "test_accuracy", "Test accuracy", "share"
    TEST_ACCURACY_INTEGER = "test_accuracy_integer", "Test accuracy, integer run", "share"
    EPOCH_MS = "epoch_ms", "Time of one epoch", "ms"
    EPOCH_MS_MEDIAN = "epoch_ms_median", "Median time of one epoch", "ms"
    WALL_S = "wall_s", "Wall time", "s"

    # learning curves (metrics)
    EPOCH = "epoch", "Epoch"
    LOSS_TRAIN = "loss_train", "Training loss", "nats"
    LOSS_VAL = "loss_val", "Validation loss", "nats"
    ACCURACY_TRAIN = "accuracy_train", "Training accuracy", "share"
    ACCURACY_VAL = "accuracy_val", "Validation accuracy", "share"

    # where a value was measured
    KEY = "key", "Site"
    LAYER = "layer", "Layer"
    PART = "part", "Part"
    SITE = "site", "Kind of site"
    ORDER = "order", "Order of execution"
    KIND = "kind", "Local or accumulated"

    # a quantizer's range
    LO = "lo", "Lower end of the range"
    HI = "hi", "Upper end of the range"
    SCALE = "scale", "Step size"
    ZERO_POINT = "zero_point", "Zero point"
    SIGNED = "signed", "Signed"
    MEAN_BITS = "mean_bits", "Bits a value, mean", "bits"
    MEAN_STEP = "mean_step", "Step size, mean", "unit of the value"
    VALUES_MIN = "values_min", "Smallest value"
    VALUES_MAX = "values_max", "Largest value"
    CLIPPED_SHARE = "clipped_share", "Share of values clipped", "share"
    LEVELS_TOTAL = "levels_total", "Levels available"
    LEVELS_USED = "levels_used", "Levels used"
    ENTROPY_BITS = "entropy_bits", "Entropy of the levels", "bits"

    # nodes
    NODE = "node", "Node"
    GRAPH = "graph", "Graph"
    DEGREE = "degree", "In-degree", "edges"
    DEGREE_LO = "degree_lo", "In-degree, from", "edges"
    DEGREE_HI = "degree_hi", "In-degree, to", "edges"
    NODES = "nodes", "Nodes"
    SOURCE = "source", "Node that sends"
    TARGET = "target", "Node that receives"
    LABEL = "label", "Class"
    SPLIT = "split", "Split"
    PREDICTION_TWIN = "prediction_twin", "Prediction, quantizers off"
    PREDICTION = "prediction", "Prediction, quantized"
    PREDICTION_INTEGER = "prediction_integer", "Prediction, integer run"
    PROTECTION = "protection", "Protection probability"
    PROTECTED_FREQUENCY = "protected_frequency", "Measured share of protected steps", "share"

    # error
    ERROR_MEAN = "error_mean", "Relative error, mean"
    ERROR_LO = "error_lo", "Relative error, 95 % interval from"
    ERROR_HI = "error_hi", "Relative error, 95 % interval to"
    ERROR_Q25 = "error_q25", "Relative error, lower quartile"
    ERROR_MEDIAN = "error_median", "Relative error, median"
    ERROR_Q75 = "error_q75", "Relative error, upper quartile"
    MSE = "mse", "Mean squared error"
    MSE_ROUNDING = "mse_rounding", "Mean squared error, rounding"
    MSE_CLIPPING = "mse_clipping", "Mean squared error, clipping"
    SQNR_DB = "sqnr_db", "Signal to quantization noise", "dB"
    RMSE_SCALE = "rmse_scale", "Root mean squared error in steps", "steps"
    EXPONENT = "exponent", "Growth exponent"
    EXPONENT_LO = "exponent_lo", "Growth exponent, 95 % interval from"
    EXPONENT_HI = "exponent_hi", "Growth exponent, 95 % interval to"

    # gradient by degree
    RULE = "rule", "Backward rule"
    GRADIENT_COSINE = "gradient_cosine", "Cosine with the gradient of the quantizers-off network"
    GRADIENT_ERROR = "gradient_error", "Relative error of the gradient"
    GRADIENT_NORM = "gradient_norm", "Length of the gradient against quantizers off"

    # smoothness by layer; H: rows that leave a layer, L = I - A^ with the symmetric normalisation and self-loops
    STEP = "step", "Layer or propagation step"
    ENERGY = "energy", "Dirichlet energy tr(H^T L H)"
    ENERGY_TWIN = "energy_twin", "Dirichlet energy, quantizers off"
    SQUARES = "squares", "Sum of squares tr(H^T H)"
    SQUARES_TWIN = "squares_twin", "Sum of squares, quantizers off"
    CHANGE = "change", "Change to the layer before, squared, against its sum of squares"
    CHANGE_ENERGY = "change_energy", "Dirichlet energy of the change to the layer before"
    LAYER_ERROR = "layer_error", "Relative error of the layer's rows"
    MULTIPLIER = "multiplier", "Multiplier of the smoothness constraint"

    # accuracy by degree
    ACCURACY = "accuracy", "Accuracy", "share"
    ACCURACY_LO = "accuracy_lo", "Accuracy, 95 % interval from", "share"
    ACCURACY_HI = "accuracy_hi", "Accuracy, 95 % interval to", "share"
    ACCURACY_TWIN = "accuracy_twin", "Accuracy, quantizers off", "share"
    FLIP_RATE = "flip_rate", "Share of predictions that flip", "share"
    FLIP_LO = "flip_lo", "Flip rate, 95 % interval from", "share"
    FLIP_HI = "flip_hi", "Flip rate, 95 % interval to", "share"

    # distributions
    GROUP = "group", "Degree group"
    LEFT = "left", "Bin, from"
    RIGHT = "right", "Bin, to"
    COUNT = "count", "Values"
    QUANTILE = "quantile", "Quantile"
    VALUE = "value", "Value"
    MEAN = "mean", "Mean after aggregation"
    SPREAD = "spread", "Standard deviation after aggregation"

    # timing
    OP = "op", "Operation"
    BACKEND = "backend", "Backend"
    PRECISION = "precision", "Precision"
    NUM_NODES = "num_nodes", "Nodes"
    NUM_EDGES = "num_edges", "Edges"
    FEATURES = "features", "Features"
    THREADS = "threads", "Threads"
    MEDIAN_MS = "median_ms", "Median time", "ms"
    P10_MS = "p10_ms", "10th percentile of time", "ms"
    P90_MS = "p90_ms", "90th percentile of time", "ms"
    REPEATS = "repeats", "Repeats"
    EXACT = "exact", "Equals the reference to the bit"
    BYTES_MOVED = "bytes_moved", "Bytes moved", "bytes"

    # comparisons
    RUN = "run", "Run"
    SEEDS = "seeds", "Seeds"
    TEST_ACCURACY_STD = "test_accuracy_std", "Test accuracy, standard deviation", "share"
    TEST_ACCURACY_LO = "test_accuracy_lo", "Test accuracy, 95 % interval from", "share"
    TEST_ACCURACY_HI = "test_accuracy_hi", "Test accuracy, 95 % interval to", "share"
    REPORTED = "reported", "Published accuracy", "share"
    REPORTED_STD = "reported_std", "Published accuracy, standard deviation", "share"
    REPORTED_MARK = "reported_mark", "How the published figure was read"
    REPORTED_NOTE = "reported_note", "What the published figure's protocol does otherwise"
    RERUN = "rerun", "Authors' code, public split, selected on validation", "share"
    BASELINE = "baseline", "Baseline"
    DIFFERENCE = "difference", "Difference to the baseline", "share"
    DIFFERENCE_LO = "difference_lo", "Difference, 95 % interval from", "share"
    DIFFERENCE_HI = "difference_hi", "Difference, 95 % interval to", "share"
    PAIRS = "pairs", "Paired seeds"
    VERDICT = "verdict", "Verdict"
    BEST = "best", "Efficient"
    LATENCY_MS = "latency_ms", "Latency", "ms"
    SIZE_BYTES = "size_bytes", "Model size", "bytes"
    FEATURE_BITS = "feature_bits", "Mean bits of a feature"
    TENSOR_BITS = "tensor_bits", "Mean bits of all tensors"
    FEATURE_BYTES = "feature_bytes", "Features in memory", "bytes"
    BANDWIDTH_SHARE = "bandwidth_share", "Share of the copy rate", "share"
    SPEEDUP = "speedup", "Times as fast as the fastest FP32"
    SPEEDUP_PYG = "speedup_pyg", "Times as fast as PyG"
    FLIP = "flip", "Flips"
    PROTECTED = "protected", "Protected in this draw"
    ECDF = "ecdf", "Nodes up to this in-degree", "share"


TABLES: dict[str, tuple[Column, ...]] = {}
"""Name of each Parquet table of a finished run, and its columns in order (nodes has further columns, one a site)."""

C = Column
_WHERE = (C.KEY, C.LAYER, C.PART, C.SITE)
_BIN = (C.DEGREE_LO, C.DEGREE_HI, C.DEGREE, C.NODES)
TABLES["metrics"] = (C.EPOCH, C.LOSS_TRAIN, C.LOSS_VAL, C.ACCURACY_TRAIN, C.ACCURACY_VAL, C.EPOCH_MS)
TABLES["sites"] = (C.EPOCH, *_WHERE, C.BITS, C.LO, C.HI, C.SCALE, C.ZERO_POINT)
TABLES["nodes"] = (C.NODE, C.GRAPH, C.DEGREE, C.LABEL, C.SPLIT, C.PREDICTION_TWIN, C.PREDICTION,
                   C.PREDICTION_INTEGER, C.PROTECTION, C.PROTECTED_FREQUENCY)  # fmt: skip
TABLES["edges"] = (C.SOURCE, C.TARGET)
TABLES["degree"] = (*_WHERE, C.KIND, *_BIN, C.ERROR_MEAN, C.ERROR_LO, C.ERROR_HI, C.ERROR_Q25, C.ERROR_MEDIAN,
                    C.ERROR_Q75, C.MSE, C.MSE_ROUNDING, C.MSE_CLIPPING, C.SQNR_DB, C.RMSE_SCALE,
                    C.CLIPPED_SHARE)  # fmt: skip
TABLES["growth"] = (*_WHERE, C.KIND, C.EXPONENT, C.EXPONENT_LO, C.EXPONENT_HI, C.NODES)
TABLES["accuracy"] = (C.SPLIT, *_BIN, C.ACCURACY, C.ACCURACY_LO, C.ACCURACY_HI, C.ACCURACY_TWIN, C.FLIP_RATE,
                      C.FLIP_LO, C.FLIP_HI)  # fmt: skip
TABLES["gradients"] = (C.RULE, *_WHERE, *_BIN, C.GRADIENT_COSINE, C.GRADIENT_ERROR, C.GRADIENT_NORM)
TABLES["aggregation"] = (*_WHERE, *_BIN, C.MEAN, C.SPREAD)
TABLES["histograms"] = (*_WHERE, C.GROUP, C.DEGREE_LO, C.DEGREE_HI, C.LEFT, C.RIGHT, C.COUNT)
TABLES["quantiles"] = (*_WHERE, C.GROUP, C.DEGREE_LO, C.DEGREE_HI, C.QUANTILE, C.VALUE)
TABLES["ranges"] = (C.ORDER, *_WHERE, C.BITS, C.SIGNED, C.LO, C.HI, C.SCALE, C.ZERO_POINT, C.VALUES_MIN,
                    C.VALUES_MAX, C.CLIPPED_SHARE, C.LEVELS_TOTAL, C.LEVELS_USED, C.ENTROPY_BITS, C.MSE,
                    C.SQNR_DB, C.RMSE_SCALE)  # fmt: skip
TABLES["widths"] = (*_WHERE, *_BIN, C.MEAN_BITS, C.MEAN_STEP)
TABLES["smoothness"] = (C.STEP, C.ENERGY, C.ENERGY_TWIN, C.SQUARES, C.SQUARES_TWIN, C.CHANGE, C.CHANGE_ENERGY,
                        C.LAYER_ERROR, C.MULTIPLIER)  # fmt: skip
TABLES["latency"] = (C.OP, C.BACKEND, C.PRECISION, C.GRAPH, C.NUM_NODES, C.NUM_EDGES, C.FEATURES, C.THREADS,
                     C.MEDIAN_MS, C.P10_MS, C.P90_MS, C.REPEATS, C.EXACT, C.BYTES_MOVED, C.SIZE_BYTES, C.FEATURE_BYTES,
                     C.ACCURACY)  # fmt: skip


def error_column(key: str, kind: str) -> str:
    """Column of `nodes` with the relative L2 error of each node at site `key`; kind is 'local' or 'accumulated'."""
    return f"{key}|{kind}"
