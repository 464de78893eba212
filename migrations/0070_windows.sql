-- Likes: three at once, then gathered for two minutes. Comments and replies: always gathered for one.

update notify.types set instant_threshold = 3, window_seconds = 120 where type = 'post.liked';
update notify.types set window_seconds = 60 where type in ('comment.created', 'comment.replied');
