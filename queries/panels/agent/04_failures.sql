-- Failures by target and metric
--
-- What fails now, then what failed most often in the range, with the last error: an error names the way out where there
-- is one. A target that is not reached fails with all of its metrics. Failures are counted as far back as the log of
-- readings goes, a week as shipped.
--
-- kind: table
-- unit: short
-- needs: metric_status, snapshot
-- size: 24x12
-- columns:
--   target              label  Target  link: infrastructure
--   metric              label  Metric
--   status              label  Now  states: ok success, error critical, unreachable critical, refused critical
--   error               label  Last error  width: 520
--   failed              value  Failed in the range
--   last_failed         time   Last failed
--   last_good_snapshot  time   Last good one
select
  m.target,
  m.metric,
  m.status,
  coalesce(m.error, f.error) as error,
  coalesce(f.failed, 0) as failed,
  case when m.is_failing then m.last_snapshot else f.last_failed end as last_failed,
  m.last_good_snapshot
from monitoring.metric_status as m
left join (
  select
    s.target,
    s.metric,
    count(*) as failed,
    max(s.time) as last_failed,
    (array_agg(s.error order by s.time desc))[1] as error
  from monitoring.snapshot as s
  where s.status <> 'ok'
    and s.status <> 'skipped'
    and s.time >= $__timeFrom()::timestamptz and s.time < $__timeTo()::timestamptz
    and s.target in ($target)
  group by s.target, s.metric
) as f on f.target = m.target and f.metric = m.metric
where m.target in ($target)
  and (m.is_failing or f.failed > 0)
order by m.is_failing desc, f.failed desc nulls last, m.target, m.metric
limit 50
