-- pgbench: one user places a single bet.
\set tenant random(1, 8)
\set user random_exponential(1, 240, 3)
\set stake random(100, 2000)
\set hundredths random(120, 900)
begin;
set local app.tenant_id = :tenant;
update app.wallets set balance_cents = balance_cents - :stake, updated_at = now() where tenant_id = :tenant and user_id = :user;
insert into app.bets (tenant_id, user_id, stake_cents, odds) values (:tenant, :user, :stake, :hundredths / 100.0) returning bet_id \gset
insert into app.legs (tenant_id, bet_id, leg_no, fixture, selection, odds) values (:tenant, :bet_id, 1, 'fixture ' || :user, 'home', :hundredths / 100.0);
insert into app.ledger (tenant_id, user_id, bet_id, kind, amount_cents) values (:tenant, :user, :bet_id, 'stake', - :stake);
commit;
