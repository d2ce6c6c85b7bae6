-- Target
--
-- The databases that are monitored.
--
-- needs: targets
-- multi: yes
select t.target
from monitoring.targets as t
order by 1
