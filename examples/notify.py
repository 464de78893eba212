# python3 examples/notify.py "$DATABASE_URL" 42     (Debian: python3-psycopg2)
import sys

import psycopg2

database, recipient = sys.argv[1], int(sys.argv[2])
db = psycopg2.connect(database)


def emit(order, title):
    with db.cursor() as cursor:
        cursor.execute(
            "select notify.emit('order.shipped', %s::bigint[], %s, title => %s)",
            ([recipient], f"order:{order}:shipped", title),
        )


emit(76, "Rolled back by python")
db.rollback()
emit(77, "Committed by python")
db.commit()
