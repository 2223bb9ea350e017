"""One look for all figures: Okabe and Ito's colours, each with a line style of its own, readable in grey."""

STYLE = {
    "validation": ("#222222", "-"),
    "generated": ("#d55e00", "--"),
    "auxiliary": ("#0072b2", ":"),
}
DIVERGING, SEQUENTIAL = "PuOr_r", "cividis"
