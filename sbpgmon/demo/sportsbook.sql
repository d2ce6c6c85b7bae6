-- A small multi-tenant sportsbook. Run it as superuser in a database of its own.
--
-- Every table carries tenant_id, first in its primary key, and every foreign key is composite: a row cannot
-- point into another tenant. Row level security is forced, so the owner is held to it as well. Money is in
-- cents; a wallet's balance is the sum of its user's ledger.

create extension if not exists pg_stat_statements;

-- ---------------------------------------------------------------------------------------------------------
-- Roles of the application
-- ---------------------------------------------------------------------------------------------------------
do $$
begin
    if to_regrole('sportsbook_owner') is null then
        create role sportsbook_owner nologin;
    end if;
    if to_regrole('sportsbook_app') is null then
        create role sportsbook_app login nobypassrls;
    end if;
end $$;

alter role sportsbook_app set deadlock_timeout = '100ms';
alter role sportsbook_app set idle_in_transaction_session_timeout = '60s';

create schema app authorization sportsbook_owner;
set local role sportsbook_owner;

-- ---------------------------------------------------------------------------------------------------------
-- Tables
-- ---------------------------------------------------------------------------------------------------------
create table app.tenants (
    tenant_id  integer primary key,
    name       text not null unique,
    country    text not null,
    currency   text not null,
    created_at timestamptz not null default now()
);

create table app.users (
    tenant_id  integer not null references app.tenants,
    user_id    integer not null,
    email      text not null,
    status     text not null default 'active' check (status in ('active', 'limited', 'closed')),
    created_at timestamptz not null default now(),
    primary key (tenant_id, user_id),
    unique (tenant_id, email)
);

create table app.wallets (
    tenant_id     integer not null,
    user_id       integer not null,
    balance_cents bigint not null check (balance_cents >= 0),
    updated_at    timestamptz not null default now(),
    primary key (tenant_id, user_id),
    foreign key (tenant_id, user_id) references app.users
) with (fillfactor = 70);

create table app.bets (
    tenant_id    integer not null,
    bet_id       bigint not null generated always as identity,
    user_id      integer not null,
    stake_cents  bigint not null check (stake_cents > 0),
    odds         numeric(8, 2) not null check (odds > 1),
    status       text not null default 'open' check (status in ('open', 'won', 'lost', 'void')),
    placed_at    timestamptz not null default now(),
    settled_at   timestamptz,
    payout_cents bigint not null default 0,
    primary key (tenant_id, bet_id),
    foreign key (tenant_id, user_id) references app.users
);

create table app.legs (
    tenant_id integer not null,
    bet_id    bigint not null,
    leg_no    smallint not null,
    fixture   text not null,
    selection text not null,
    odds      numeric(8, 2) not null check (odds > 1),
    primary key (tenant_id, bet_id, leg_no),
    foreign key (tenant_id, bet_id) references app.bets
);

create table app.ledger (
    tenant_id    integer not null,
    entry_id     bigint not null generated always as identity,
    user_id      integer not null,
    bet_id       bigint,
    kind         text not null check (kind in ('deposit', 'stake', 'payout')),
    amount_cents bigint not null,
    booked_at    timestamptz not null default now(),
    primary key (tenant_id, entry_id),
    foreign key (tenant_id, user_id) references app.wallets,
    foreign key (tenant_id, bet_id) references app.bets
);

create table app.logins (
    tenant_id  integer not null,
    login_id   bigint not null generated always as identity,
    user_id    integer not null,
    address    inet not null,
    succeeded  boolean not null,
    attempted_at timestamptz not null default now(),
    primary key (tenant_id, login_id),
    foreign key (tenant_id, user_id) references app.users
);

create table app.audit_log (
    tenant_id integer not null references app.tenants,
    audit_id  bigint not null generated always as identity,
    actor     text not null,
    action    text not null,
    detail    jsonb not null default '{}',
    logged_at timestamptz not null default now(),
    primary key (tenant_id, audit_id)
);

create index bets_by_user on app.bets (tenant_id, user_id, placed_at);
create index bets_open on app.bets (tenant_id, placed_at) where status = 'open';
create index ledger_by_user on app.ledger (tenant_id, user_id, booked_at);
create index logins_by_user on app.logins (tenant_id, user_id, attempted_at);

comment on schema app is 'The sportsbook';
comment on table app.wallets is 'One balance for each user: the sum of the ledger';

-- ---------------------------------------------------------------------------------------------------------
-- Row level security: a session sees the tenant that its transaction names in app.tenant_id, or nothing
-- ---------------------------------------------------------------------------------------------------------
do $$
declare
    table_name text;
begin
    foreach table_name in array
        array['tenants', 'users', 'wallets', 'bets', 'legs', 'ledger', 'logins', 'audit_log']
    loop
        execute format('alter table app.%I enable row level security', table_name);
        execute format('alter table app.%I force row level security', table_name);
        execute format(
            'create policy tenant_isolation on app.%I'
            ' using (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::integer)'
            ' with check (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::integer)',
            table_name);
    end loop;
end $$;

grant usage on schema app to sportsbook_app;
grant select on app.tenants to sportsbook_app;
grant select, insert, update on app.users, app.wallets, app.bets to sportsbook_app;
grant select, insert on app.legs, app.ledger, app.logins, app.audit_log to sportsbook_app;

-- ---------------------------------------------------------------------------------------------------------
-- Data: 8 tenants, 2,000 users, 12,000 bets of which 800 are open (by superuser, past the policies)
-- ---------------------------------------------------------------------------------------------------------
reset role;
select setseed(0.42);

insert into app.tenants (tenant_id, name, country, currency)
values
    (1, 'Northgoal', 'GB', 'GBP'), (2, 'Apuesta Real', 'ES', 'EUR'), (3, 'Tippkönig', 'DE', 'EUR'),
    (4, 'Quota d''Oro', 'IT', 'EUR'), (5, 'Oddsverket', 'SE', 'SEK'), (6, 'Zakład Plus', 'PL', 'PLN'),
    (7, 'Parispoint', 'FR', 'EUR'), (8, 'Saltire Bets', 'GB', 'GBP');

insert into app.users (tenant_id, user_id, email, status, created_at)
select
    tenant_id, user_id, format('user%s@tenant%s.example', user_id, tenant_id),
    case when random() < 0.03 then 'limited' else 'active' end,
    now() - random() * interval '700 days'
from generate_series(1, 8) as tenant_id, generate_series(1, 250) as user_id;

insert into app.bets (tenant_id, user_id, stake_cents, odds, status, placed_at, settled_at)
select
    1 + n % 8, 1 + floor(random() * 250)::integer, 100 + floor(random() * 4900)::bigint,
    (1.2 + random() * 6)::numeric(8, 2),
    case when n > 11200 then 'open' when random() < 0.35 then 'won' else 'lost' end,
    now() - (12001 - n) * interval '2 minutes',
    case when n <= 11200 then now() - (12001 - n) * interval '2 minutes' + interval '100 minutes' end
from generate_series(1, 12000) as n;

update app.bets set payout_cents = floor(stake_cents * odds) where status = 'won';

insert into app.legs (tenant_id, bet_id, leg_no, fixture, selection, odds)
select
    bets.tenant_id, bets.bet_id, leg_no, format('fixture %s', bets.bet_id % 380),
    (array['home', 'draw', 'away'])[1 + bets.bet_id % 3],
    greatest(1.01, bets.odds ^ (1.0 / (1 + bets.bet_id % 3)))
from app.bets, generate_series(1, 1 + bets.bet_id % 3) as leg_no;

insert into app.wallets (tenant_id, user_id, balance_cents)
select tenant_id, user_id, 0 from app.users;

insert into app.ledger (tenant_id, user_id, bet_id, kind, amount_cents, booked_at)
select tenant_id, user_id, null, 'deposit', 100000000, created_at from app.users
union all
select tenant_id, user_id, bet_id, 'stake', -stake_cents, placed_at from app.bets
union all
select tenant_id, user_id, bet_id, 'payout', payout_cents, settled_at from app.bets where status = 'won';

update app.wallets
set balance_cents = booked.cents
from (
    select tenant_id, user_id, sum(amount_cents) as cents from app.ledger group by tenant_id, user_id
) as booked
where wallets.tenant_id = booked.tenant_id and wallets.user_id = booked.user_id;

insert into app.logins (tenant_id, user_id, address, succeeded, attempted_at)
select
    1 + n % 8, 1 + floor(random() * 250)::integer, '10.0.0.0'::inet + (n % 65536), random() < 0.93,
    now() - random() * interval '60 days'
from generate_series(1, 5000) as n;

insert into app.audit_log (tenant_id, actor, action, detail, logged_at)
select
    1 + n % 8, format('operator%s', n % 12), (array['limit', 'note', 'refund', 'review'])[1 + n % 4],
    jsonb_build_object('user_id', 1 + n % 250, 'reason', md5(n::text)),
    now() - random() * interval '60 days'
from generate_series(1, 3000) as n;
