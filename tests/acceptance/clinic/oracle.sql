-- The same clinic in plain SQL: PostgreSQL's own row level security, on a copy of the
-- tables. Written by hand from what the clinic wants, not from what Atom makes of it.
drop schema if exists oracle cascade;
create schema oracle;

create table oracle.clinic (like public.clinic including all);
create table oracle.staff (like public.staff including all);
create table oracle.doctor (like public.doctor including all);
create table oracle.patient (like public.patient including all);
create table oracle.slot (like public.slot including all);
create table oracle.booking (like public.booking including all);
create table oracle.invoice (like public.invoice including all);
create table oracle.note (like public.note including all);

-- Who asks: `set local app.user_id`; nobody is null. What belongs to them is read past
-- the policies, as the owner of these functions.
create function oracle.me() returns bigint stable language sql as
$$ select nullif(current_setting('app.user_id', true), '')::bigint $$;
create function oracle.clinics() returns bigint[] stable security definer language sql as
$$ select array(select clinic_id from oracle.staff where user_id = oracle.me()
   union select clinic_id from oracle.patient where user_id = oracle.me()) $$;
create function oracle.desks() returns bigint[] stable security definer language sql as
$$ select array(select clinic_id from oracle.staff
   where user_id = oracle.me() and role = 'reception') $$;
create function oracle.patients() returns bigint[] stable security definer language sql as
$$ select array(select id from oracle.patient where user_id = oracle.me()) $$;
create function oracle.doctors() returns bigint[] stable security definer language sql as
$$ select array(select id from oracle.doctor where user_id = oracle.me()) $$;
create function oracle.slots() returns bigint[] stable security definer language sql as
$$ select array(select id from oracle.slot where doctor_id = any(oracle.doctors())) $$;
create function oracle.care() returns bigint[] stable security definer language sql as
$$ select array(select patient_id from oracle.booking
   where slot_id = any(oracle.slots())) $$;
create function oracle.is_doctor() returns boolean stable security definer language sql as
$$ select exists (select 1 from oracle.staff
   where user_id = oracle.me() and role = 'doctor') $$;

-- What the server writes itself.
create function oracle.stamp() returns trigger security definer language plpgsql as $$
begin
  if to_jsonb(new) ? 'created_by_id' then
    new.created_by_id := oracle.me();
  end if;
  return new;
end $$;
create function oracle.stamp_changed() returns trigger language plpgsql as $$
begin
  new.updated_by_id := oracle.me();
  return new;
end $$;
create function oracle.stamp_clinic() returns trigger security definer language plpgsql as $$
begin
  if new.clinic_id is null and cardinality(oracle.clinics()) = 1 then
    new.clinic_id := (oracle.clinics())[1];
  end if;
  return new;
end $$;
create function oracle.preset_open() returns trigger language plpgsql as $$
begin
  if current_user <> 'oracle_admin' then new.state := 'open'; end if;
  return new;
end $$;
create function oracle.at_most() returns trigger language plpgsql as $$
begin
  if current_user <> 'oracle_admin' and (select count(*) from added) > 3 then
    raise exception 'too many rows';
  end if;
  return null;
end $$;
create trigger a before insert on oracle.patient for each row execute function oracle.stamp();
create trigger a before insert on oracle.booking for each row execute function oracle.stamp();
create trigger a before insert on oracle.invoice for each row execute function oracle.stamp();
create trigger a before insert on oracle.note for each row execute function oracle.stamp();
create trigger b before insert on oracle.staff for each row execute function oracle.stamp_clinic();
create trigger b before insert on oracle.patient for each row execute function oracle.stamp_clinic();
create trigger b before insert on oracle.slot for each row execute function oracle.stamp_clinic();
create trigger b before insert on oracle.booking for each row execute function oracle.stamp_clinic();
create trigger b before insert on oracle.invoice for each row execute function oracle.stamp_clinic();
create trigger b before insert on oracle.note for each row execute function oracle.stamp_clinic();
create trigger c before insert on oracle.slot for each row execute function oracle.preset_open();
create trigger c before insert on oracle.booking for each row execute function oracle.preset_open();
create trigger c before update on oracle.patient for each row execute function oracle.stamp_changed();
create trigger d after insert on oracle.slot referencing new table as added
  for each statement execute function oracle.at_most();

-- A role for each tier and verb; none may bypass anything.
do $$
declare name text;
begin
  foreach name in array array['public_read', 'my_read', 'my_create', 'my_update',
    'my_delete', 'my_upsert', 'admin'] loop
    if not exists (select from pg_roles where rolname = 'oracle_' || name) then
      execute format('create role oracle_%s nologin nobypassrls', name);
    end if;
    execute format('grant usage on schema oracle to oracle_%s', name);
  end loop;
end $$;

alter table oracle.clinic enable row level security;
alter table oracle.staff enable row level security;
alter table oracle.doctor enable row level security;
alter table oracle.patient enable row level security;
alter table oracle.slot enable row level security;
alter table oracle.booking enable row level security;
alter table oracle.invoice enable row level security;
alter table oracle.note enable row level security;

-- A write finds rows by id or by a filter; the policy of the verb decides which of them
-- it may touch.
create policy find on oracle.clinic for select to oracle_my_update using (true);
create policy find on oracle.doctor for select to oracle_my_update using (true);
create policy find on oracle.patient for select to oracle_my_update using (true);
create policy find on oracle.slot for select to oracle_my_update, oracle_my_delete, oracle_my_upsert using (true);
create policy find on oracle.booking for select to oracle_my_update, oracle_my_delete using (true);
create policy find on oracle.invoice for select to oracle_my_update, oracle_my_delete using (true);
create policy find on oracle.note for select to oracle_my_update, oracle_my_delete using (true);
grant select on oracle.clinic, oracle.doctor, oracle.patient, oracle.slot,
  oracle.booking, oracle.invoice, oracle.note to oracle_my_update;
grant select on oracle.slot, oracle.booking, oracle.invoice, oracle.note to oracle_my_delete;
grant select on oracle.slot to oracle_my_upsert;

-- Strangers: clinics and listed doctors, some columns.
create policy p on oracle.clinic for select to oracle_public_read using (true);
create policy p on oracle.doctor for select to oracle_public_read using (is_listed = 1);
grant select (id, name, city) on oracle.clinic, oracle.doctor to oracle_public_read;

-- Users read.
create policy r on oracle.clinic for select to oracle_my_read using (id = any(oracle.clinics()));
create policy r on oracle.doctor for select to oracle_my_read
  using (is_listed = 1 or clinic_id = any(oracle.clinics()));
create policy r on oracle.patient for select to oracle_my_read
  using (clinic_id = any(oracle.clinics())
    and (user_id = oracle.me() or clinic_id = any(oracle.desks()) or id = any(oracle.care())));
create policy r on oracle.slot for select to oracle_my_read using (clinic_id = any(oracle.clinics()));
create policy r on oracle.booking for select to oracle_my_read
  using (is_deleted is distinct from 1 and clinic_id = any(oracle.clinics())
    and (patient_id = any(oracle.patients()) or clinic_id = any(oracle.desks())
      or slot_id = any(oracle.slots())));
create policy r on oracle.invoice for select to oracle_my_read
  using (created_by_id = oracle.me() and clinic_id = any(oracle.clinics()));
create policy r on oracle.note for select to oracle_my_read
  using (oracle.is_doctor() and doctor_id = any(oracle.doctors()) and clinic_id = any(oracle.clinics()));
grant select on oracle.clinic, oracle.patient, oracle.slot, oracle.booking,
  oracle.invoice, oracle.note to oracle_my_read;
grant select (id, clinic_id, name, city, is_listed) on oracle.doctor to oracle_my_read;

-- Users create.
create policy c on oracle.patient for insert to oracle_my_create
  with check (clinic_id = any(oracle.desks()));
create policy c on oracle.slot for insert to oracle_my_create, oracle_my_upsert
  with check (clinic_id = any(oracle.desks()));
create policy c on oracle.booking for insert to oracle_my_create
  with check (clinic_id = any(oracle.clinics())
    and (patient_id = any(oracle.patients()) or clinic_id = any(oracle.desks())));
create policy c on oracle.invoice for insert to oracle_my_create
  with check (created_by_id = oracle.me() and clinic_id = any(oracle.clinics()));
create policy c on oracle.note for insert to oracle_my_create
  with check (oracle.is_doctor() and doctor_id = any(oracle.doctors()) and clinic_id = any(oracle.clinics()));
grant insert (clinic_id, name, phone) on oracle.patient to oracle_my_create;
grant insert (clinic_id, doctor_id, starts_at) on oracle.slot to oracle_my_create, oracle_my_upsert;
grant insert (clinic_id, slot_id, patient_id, reason) on oracle.booking to oracle_my_create;
grant insert (clinic_id, booking_id, amount) on oracle.invoice to oracle_my_create;
grant insert (clinic_id, patient_id, doctor_id, body) on oracle.note to oracle_my_create;

-- Users update.
create policy u on oracle.clinic for update to oracle_my_update using (id = any(oracle.desks()));
create policy u on oracle.doctor for update to oracle_my_update
  using (user_id = oracle.me() and clinic_id = any(oracle.clinics()));
create policy u on oracle.patient for update to oracle_my_update
  using (clinic_id = any(oracle.clinics())
    and (user_id = oracle.me() or clinic_id = any(oracle.desks())))
  with check (clinic_id = any(oracle.clinics())
    and (user_id = oracle.me() or clinic_id = any(oracle.desks()) and phone <> '0'));
create policy u on oracle.slot for update to oracle_my_update, oracle_my_upsert
  using (clinic_id = any(oracle.clinics())
    and (clinic_id = any(oracle.desks()) or doctor_id = any(oracle.doctors())))
  with check (clinic_id = any(oracle.clinics())
    and (clinic_id = any(oracle.desks()) or state = 'closed'));
create policy u on oracle.booking for update to oracle_my_update
  using (is_deleted is distinct from 1 and clinic_id = any(oracle.clinics())
    and (clinic_id = any(oracle.desks()) or slot_id = any(oracle.slots())))
  with check (clinic_id = any(oracle.clinics()) and state in ('open', 'done'));
create policy u on oracle.invoice for update to oracle_my_update
  using (created_by_id = oracle.me() and clinic_id = any(oracle.clinics()));
create policy u on oracle.note for update to oracle_my_update
  using (oracle.is_doctor() and doctor_id = any(oracle.doctors()) and created_by_id = oracle.me()
    and clinic_id = any(oracle.clinics()));
grant update (city, phone) on oracle.clinic to oracle_my_update;
grant update (city, fee) on oracle.doctor to oracle_my_update;
grant update (clinic_id, name, phone) on oracle.patient to oracle_my_update;
grant update (clinic_id, doctor_id, starts_at, state) on oracle.slot to oracle_my_update, oracle_my_upsert;
grant update (state, reason, slot_id) on oracle.booking to oracle_my_update;
grant update (clinic_id, booking_id, amount) on oracle.invoice to oracle_my_update;
grant update (body, patient_id) on oracle.note to oracle_my_update;

-- Users delete; of bookings only the mark is set.
create policy d on oracle.slot for delete to oracle_my_delete
  using (cardinality(oracle.desks()) > 0 and clinic_id = any(oracle.clinics())
    and (doctor_id = any(oracle.doctors()) or state = 'open'));
create policy d on oracle.booking for update to oracle_my_delete
  using (is_deleted is distinct from 1 and clinic_id = any(oracle.clinics())
    and patient_id = any(oracle.patients()) and state = 'open')
  with check (true);
create policy d on oracle.invoice for delete to oracle_my_delete
  using (created_by_id = oracle.me() and clinic_id = any(oracle.clinics()));
create policy d on oracle.note for delete to oracle_my_delete
  using (oracle.is_doctor() and doctor_id = any(oracle.doctors()) and created_by_id = oracle.me()
    and clinic_id = any(oracle.clinics()));
grant delete on oracle.slot, oracle.invoice, oracle.note to oracle_my_delete;
grant update (is_deleted) on oracle.booking to oracle_my_delete;

-- Admins reach everything of their own clinics, and the catalogue of all.
create policy a on oracle.clinic to oracle_admin using (true);
create policy a on oracle.doctor to oracle_admin using (true);
create policy a on oracle.staff to oracle_admin using (clinic_id = any(oracle.clinics()));
create policy a on oracle.patient to oracle_admin using (clinic_id = any(oracle.clinics()));
create policy a on oracle.slot to oracle_admin using (clinic_id = any(oracle.clinics()));
create policy a on oracle.booking to oracle_admin
  using (is_deleted is distinct from 1 and clinic_id = any(oracle.clinics()));
create policy a on oracle.invoice to oracle_admin using (clinic_id = any(oracle.clinics()));
create policy a on oracle.note to oracle_admin using (clinic_id = any(oracle.clinics()));
grant select, delete on all tables in schema oracle to oracle_admin;
grant insert (clinic_id, user_id, role) on oracle.staff to oracle_admin;
grant insert (name, city, phone), update (name, city, phone) on oracle.clinic to oracle_admin;
grant insert (clinic_id, user_id, name, city, fee, is_listed),
  update (clinic_id, user_id, name, city, fee, is_listed) on oracle.doctor to oracle_admin;
grant insert (clinic_id, user_id, name, phone), update (clinic_id, user_id, name, phone)
  on oracle.patient to oracle_admin;
grant insert (clinic_id, doctor_id, starts_at, state),
  update (clinic_id, doctor_id, starts_at, state) on oracle.slot to oracle_admin;
grant insert (clinic_id, slot_id, patient_id, state, reason),
  update (clinic_id, slot_id, patient_id, state, reason) on oracle.booking to oracle_admin;
grant insert (clinic_id, booking_id, amount), update (clinic_id, booking_id, amount)
  on oracle.invoice to oracle_admin;
grant insert (clinic_id, patient_id, doctor_id, body),
  update (clinic_id, patient_id, doctor_id, body) on oracle.note to oracle_admin;
grant update (clinic_id, user_id, role) on oracle.staff to oracle_admin;
grant update (created_by_id) on oracle.patient, oracle.booking, oracle.invoice, oracle.note
  to oracle_admin;
