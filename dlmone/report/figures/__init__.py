"""The figures of a report: charts of scores, curves of training, the plane of quality and diversity."""
