-- pgbench: one user looks at the wallet and at the last bets.
\set tenant random(1, 8)
\set user random_exponential(1, 240, 3)
begin;
set local app.tenant_id = :tenant;
select balance_cents, updated_at from app.wallets where tenant_id = :tenant and user_id = :user;
select bet_id, stake_cents, odds, status from app.bets where tenant_id = :tenant and user_id = :user order by placed_at desc limit 20;
commit;
