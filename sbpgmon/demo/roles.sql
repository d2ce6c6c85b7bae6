-- The three least-privileged roles of sbpgmon, where `sbpgmon grants` is not at hand. No passwords: the
-- demo's server trusts its socket, which only its owner can reach.
do $$
begin
    -- reads the target: statistics only
    if to_regrole('sbpgmon_reader') is null then
        create role sbpgmon_reader login;
    end if;
    grant pg_monitor to sbpgmon_reader;

    -- owns the schema monitoring
    if to_regrole('sbpgmon_owner') is null then
        create role sbpgmon_owner login;
    end if;
    execute format('grant create, connect on database %I to sbpgmon_owner', current_database());

    -- Grafana's: `sbpgmon init` lets it read monitoring
    if to_regrole('grafana_reader') is null then
        create role grafana_reader login;
    end if;
end $$;
