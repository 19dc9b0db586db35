"""What `make load` reads out of the proxy's log."""

from benchmarks.load.__main__ import _served, percentile


def test_the_log_gives_calls_by_endpoint_with_errors_and_cpu(tmp_path):
    log = tmp_path / "access.log"
    one = "0192f0c1-7a3e-7abc-8def-0123456789ab"
    log.write_text(
        f"GET /api/v1/payment/orders/{one} 200 0.010 1.500\n"
        f"GET /api/v1/payment/orders/{one[::-1].replace('-', '0')[:8]}-{one[9:]} 502 0.030 -\n"
        "POST /payment/callback/wechat 200 0.200 9.000\n"
        "GET /static/css/a.css 200 0.001 0.1\n"
    )
    rows = {row["name"]: row for row in _served(log)}
    assert set(rows) == {"GET /api/v1/payment/orders/…", "POST /payment/callback/wechat"}
    order = rows["GET /api/v1/payment/orders/…"]
    assert (order["requests"], order["errors"], order["max"], order["cpu_ms"]) == (2, 1, 30, 0.75)


def test_the_99th_percentile_of_a_hundred_is_the_second_largest():
    assert percentile([float(number) for number in range(1, 101)], 99) == 99
    assert percentile([7.0], 99) == 7
