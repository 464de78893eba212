-- psql -v ON_ERROR_STOP=1 -v recipient=42 -f examples/notify.sql "$DATABASE_URL"
-- What is rolled back never happened; what is committed is told.
begin;
select notify.emit('order.shipped', array[:recipient], 'order:76:shipped', title => 'Rolled back by psql');
rollback;

begin;
select notify.emit('order.shipped', array[:recipient], 'order:77:shipped', title => 'Committed by psql', url => '/orders/77');
commit;
