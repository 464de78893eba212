# perl examples/notify.pl 'dbi:Pg:dbname=ravenpost;host=127.0.0.1' user 42     (Debian: libdbd-pg-perl)
use strict;
use warnings;
use DBI;

my ($source, $user, $recipient) = @ARGV;
my $db = DBI->connect($source, $user, $ENV{PGPASSWORD} // '', { AutoCommit => 0, RaiseError => 1 });

sub emit {
    my ($order, $title) = @_;
    $db->do("select notify.emit('order.shipped', array[?::bigint], ?, title => ?)",
        undef, $recipient, "order:$order:shipped", $title);
}

emit(76, 'Rolled back by perl');
$db->rollback;
emit(77, 'Committed by perl');
$db->commit;
$db->disconnect;
