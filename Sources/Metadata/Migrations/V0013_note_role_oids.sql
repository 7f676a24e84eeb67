-- Which role it was that Sluice made: the name may be somebody else's by now, and not every role can bear a mark of ours
-- (on Lakebase the comment may be the platform's). Null for roles that were made before, or not by Sluice.
alter table managed_role add column oid bigint;
