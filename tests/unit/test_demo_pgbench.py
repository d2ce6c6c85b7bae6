"""Reading pgbench's summary."""

from __future__ import annotations

from sbpgmon.demo.pgbench import Done, parse_report

_REPORT = """\
pgbench (18.6)
transaction type: multiple scripts
number of transactions actually processed: 208
number of failed transactions: 1 (0.478%)
SQL script 1: /somewhere/place_bet.sql
 - weight: 2 (targets 40.0% of total)
 - 82 transactions (39.4% of total)
 - number of transactions actually processed: 82 (tps = 20.286420)
 - number of failed transactions: 1 (1.205%)
SQL script 2: /somewhere/read_wallet.sql
 - weight: 3 (targets 60.0% of total)
 - 126 transactions (60.6% of total)
 - number of transactions actually processed: 126 (tps = 31.171815)
 - number of failed transactions: 0 (0.000%)
"""


def test_counts_by_script() -> None:
    assert parse_report(_REPORT) == Done(bets_placed=82, wallets_read=126, failed=1)


def test_what_is_not_there_is_nothing() -> None:
    assert parse_report("pgbench: error: connection failed\n") == Done()
