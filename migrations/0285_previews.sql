-- People who like a post, the latest first. The primary key serves what likes_of_user did, so that a like still writes two indexes.

alter table social.likes drop constraint likes_pkey;
alter table social.likes add primary key (user_id, post_id);
drop index social.likes_of_user;
create index likes_of_post on social.likes (post_id, created_at, user_id);
comment on table social.likes is 'Likes of posts. Primary key: what a deleted user liked, and whether the viewer likes the posts of a page. Index likes_of_post: the users who like a post, latest first.';
